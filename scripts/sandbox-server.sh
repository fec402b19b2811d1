# Starts a server in sandbox mode with data of its own. Sourced after lib.sh, never run.

# start_sandbox_server [NAME=VALUE…]: builds the server if it is missing, and starts it with these settings on a port that
# the system chooses. Sets EVERGRANT_URL, `data` (a folder that goes with the server) and the command `evergrant`, which
# works on its database.
start_sandbox_server() {
    export EVERGRANT_BIN=${EVERGRANT_BIN:-$target/debug/evergrant}
    [[ -x $EVERGRANT_BIN ]] || cargo build --locked --features ssr
    data=$(mktemp -d)
    trap 'kill "$server" 2>/dev/null; wait "$server" 2>/dev/null; rm -rf "$data"' EXIT
    settings=(EVERGRANT_DATA_DIR="$data" DATABASE_URL="sqlite://$data/evergrant.db" "$@")
    mkfifo "$data/output"
    (cd "$data" && exec env -i PATH="$PATH" "${settings[@]}" EVERGRANT_LISTEN=127.0.0.1:0 "$EVERGRANT_BIN" >output 2>&1) &
    server=$!
    local line address=
    exec 7<"$data/output"
    while [[ -z $address ]] && IFS= read -rt 60 -u 7 line; do
        printf '%s\n' "$line" >>"$data/log"
        if [[ $line =~ ' listening address='([0-9.:]+) ]]; then address=${BASH_REMATCH[1]}; fi
    done
    [[ -n $address ]] || die "the server did not start: $(tail -n 5 "$data/log")"
    # A full pipe would block the server.
    cat <&7 >>"$data/log" &
    exec 7<&-
    export EVERGRANT_URL=http://$address
    settings+=(EVERGRANT_LISTEN="$address" EVERGRANT_PUBLIC_URL="$EVERGRANT_URL")
}

evergrant() { (cd "$data" && env -i PATH="$PATH" "${settings[@]}" "$EVERGRANT_BIN" "$@" 2>"$data/errors") || die "$(cat "$data/errors")"; }
