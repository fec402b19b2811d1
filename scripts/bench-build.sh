# Builds what the benchmarks need. Sourced after lib.sh, never run.

cd "$root"
scripts/setup test
scripts/build-server release
say "==> building the load"
cargo build --quiet --locked --release -p evergrant-bench
# A temporary cluster need not survive a crash, but the measurements must include the cost of durable commits.
export EVERGRANT_POSTGRES_OPTIONS='-c fsync=on -c synchronous_commit=on -c full_page_writes=on -c autovacuum=on -c shared_buffers=256MB'
