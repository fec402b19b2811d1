# Starts a server in sandbox mode with data of its own. Sourced after lib.sh, never run.

# start_sandbox_server [NAME=VALUE…]: builds the server if it is missing, and starts it with these settings. Sets
# EVERGRANT_URL, `data` (a folder that goes with the server) and the command `evergrant`, which works on its database.
start_sandbox_server() {
    export EVERGRANT_BIN=${EVERGRANT_BIN:-$target/debug/evergrant}
    [[ -x $EVERGRANT_BIN ]] || cargo build --locked --features ssr
    data=$(mktemp -d)
    trap 'kill "$server" 2>/dev/null; wait "$server" 2>/dev/null; rm -rf "$data"' EXIT
    local port tries
    port=$(node -e 'const s = require("net").createServer().listen(0, "127.0.0.1", () => { console.log(s.address().port); s.close(); })')
    export EVERGRANT_URL=http://localhost:$port
    settings=(EVERGRANT_LISTEN="127.0.0.1:$port" EVERGRANT_PUBLIC_URL="$EVERGRANT_URL" EVERGRANT_DATA_DIR="$data"
        DATABASE_URL="sqlite://$data/evergrant.db" "$@")
    (cd "$data" && exec env -i PATH="$PATH" "${settings[@]}" "$EVERGRANT_BIN" >"$data/log" 2>&1) &
    server=$!
    for ((tries = 0; tries < 100; tries++)); do
        curl -fsS -o "$data/ready" "$EVERGRANT_URL/readyz" 2>/dev/null && break
        kill -0 "$server" 2>/dev/null || die "the server ended: $(tail -n 5 "$data/log")"
        read -rt 0.1 <> <(:) || true
    done
    [[ -e $data/ready ]] || die "the server is not ready: $(tail -n 5 "$data/log")"
}

evergrant() { (cd "$data" && env -i PATH="$PATH" "${settings[@]}" "$EVERGRANT_BIN" "$@" 2>"$data/errors") || die "$(cat "$data/errors")"; }
