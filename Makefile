# Each line hands over to a script; scripts/setup brings what they need.
.PHONY: run test torture check setup bench e2e pictures fmt advisories

run: ; @scripts/run
test: ; @scripts/test
torture: ; @scripts/torture
check: ; @scripts/check
setup: ; @scripts/setup test
bench: ; @scripts/bench
e2e: ; @scripts/e2e
pictures: ; @scripts/e2e pictures.test.mjs
fmt: ; @cargo fmt
advisories: ; @cargo deny check advisories
