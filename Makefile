# Each target runs a script. scripts/setup installs what the scripts need.
.PHONY: run release test torture fuzz fuzz-api check setup bench bench-sweep bench-abuse e2e pictures fmt advisories release-check

run: ; @scripts/run
release: ; @scripts/setup run && scripts/build-server release
test: ; @scripts/test
torture: ; @scripts/torture
fuzz: ; @scripts/fuzz
fuzz-api: ; @scripts/fuzz-api
check: ; @scripts/check
setup: ; @scripts/setup test
bench: ; @scripts/bench
bench-sweep: ; @scripts/bench-sweep
bench-abuse: ; @scripts/bench-abuse
e2e: ; @scripts/e2e
pictures: ; @scripts/e2e pictures.test.mjs
fmt: ; @cargo fmt
advisories: ; @cargo deny check advisories
# Needs the network for the advisories. A release is built from a commit that passed it.
release-check: advisories test fuzz-api
	@scripts/test-clients typescript python
	@scripts/check-firefox
	@scripts/check-upgrade
	@scripts/check-image
	@scripts/check-release
