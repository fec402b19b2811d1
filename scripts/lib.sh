# Shared by the scripts: paths, and the display of slow steps. Sourced, never run.

set -euo pipefail

root=$(cd "$(dirname "${BASH_SOURCE[0]}")/.." && pwd)
cache=${EVERGRANT_CACHE:-${XDG_CACHE_HOME:-$HOME/.cache}/evergrant}
cargo_bin=${CARGO_HOME:-$HOME/.cargo}/bin
target=${CARGO_TARGET_DIR:-$root/target}
log=$cache/setup.log
# The site that the browser tests load.
site=$target/site-test
# The packages that are built for this machine; crates/frontend is built for wasm32.
native_packages=(evergrant evergrant-sandbox evergrant-test-database evergrant-bench evergrant-client)
# The programs that read the files of deploy/, from Debian's packages, which would start services if they were installed.
deploy_tools=$cache/deploy-tools
export PATH=$cargo_bin:$PATH:$deploy_tools/usr/bin:$deploy_tools/usr/sbin

say() { printf '%s\n' "$*"; }

die() {
    printf 'error: %s\n' "$*" >&2
    exit 1
}

have() { command -v "$1" >/dev/null 2>&1; }

# took START: prints the time since START in minutes and seconds.
took() {
    local s=$((SECONDS - $1))
    if ((s >= 60)); then printf '%d min %02d s' $((s / 60)) $((s % 60)); else printf '%d s' "$s"; fi
}

# step WHAT ABOUT CMD…: runs CMD with its output in the log. Prints WHAT, the expected time ABOUT, and a line every half
# minute while CMD runs. If CMD fails, prints the end of its output.
step() {
    local what=$1 about=$2 start=$SECONDS ticker status=0
    shift 2
    mkdir -p "$cache"
    printf '\n### %s: %s\n' "$what" "$*" >>"$log"
    local from
    from=$(wc -c <"$log")
    say "==> $what (about $about)"
    # `read` from a pipe without a writer sleeps without starting a process that could outlive this one.
    (
        exec 8<> <(:) 9>&-
        while ! read -rt 30 -u 8; do printf '    still running: %s\n' "$(took "$start")"; done
    ) &
    ticker=$!
    "$@" >>"$log" 2>&1 </dev/null || status=$?
    kill "$ticker" 2>/dev/null || true
    wait "$ticker" 2>/dev/null || true
    if ((status != 0)); then
        tail -c "+$((from + 1))" "$log" | tail -n 40 | sed 's/^/    | /' >&2
        printf '    failed after %s; the full output is in %s\n' "$(took "$start")" "$log" >&2
        return "$status"
    fi
    say "    done in $(took "$start")"
}

# linted CMD…: runs a cargo command with Clippy in the compiler's place for the packages of this workspace, so that one
# build both lints and produces what runs. A lint is an error.
linted() {
    RUSTC_WORKSPACE_WRAPPER=$(rustc --print sysroot)/bin/clippy-driver \
        CLIPPY_ARGS=-D__CLIPPY_HACKERY__warnings__CLIPPY_HACKERY__ "$@"
}
