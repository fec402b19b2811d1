# Shared by the scripts: paths, and the display of slow steps. Sourced, never run.

say() { printf '%s\n' "$*"; }

die() {
    printf 'error: %s\n' "$*" >&2
    exit 1
}

((BASH_VERSINFO[0] >= 5)) || die "this is Bash $BASH_VERSION: install version 5 or later (macOS: brew install bash)"
set -euo pipefail

root=$(cd "$(dirname "${BASH_SOURCE[0]}")/.." && pwd)
cache=${EVERGRANT_CACHE:-${XDG_CACHE_HOME:-$HOME/.cache}/evergrant}
cargo_bin=${CARGO_HOME:-$HOME/.cargo}/bin
target=${CARGO_TARGET_DIR:-$root/target}
log=$cache/setup.log
# The tools that the setup builds. Those in Cargo's own folder are used if their version fits, and never changed.
tools=$cache/tools
# The site that the browser tests load.
site=$target/site-test
# The packages whose tests run. Building the site builds crates/frontend and crates/bindgen.
native_packages=(evergrant evergrant-sandbox evergrant-test-database evergrant-bench evergrant-client)
# The programs that read the files of deploy/, from Debian's packages, which would start services if they were installed.
deploy_tools=$cache/deploy-tools
export PATH=$tools/bin:$cargo_bin:$PATH:$deploy_tools/usr/bin:$deploy_tools/usr/sbin

have() { command -v "$1" >/dev/null 2>&1; }

# took START: prints the time since START in minutes and seconds.
took() {
    local s=$((SECONDS - $1))
    if ((s >= 60)); then printf '%d min %02d s' $((s / 60)) $((s % 60)); else printf '%d s' "$s"; fi
}

# step WHAT ABOUT CMD…: runs CMD with its output in the log. Prints WHAT, the expected time ABOUT, and a line every half
# minute while CMD runs. If CMD fails, prints the end of its output.
step() {
    local status=0
    try_step "$@" || status=$?
    ((status == 0)) || show_failure
    return "$status"
}

# try_step WHAT ABOUT CMD…: runs CMD as `step` does, and leaves its output in the log if it fails. For what has an
# alternative. `show_failure` prints that output.
try_step() {
    local what=$1 about=$2 start=$SECONDS status=0 ticker
    shift 2
    mkdir -p "$cache"
    printf '\n### %s: %s\n' "$what" "$*" >>"$log"
    step_begins_at=$(wc -c <"$log")
    say "==> $what (about $about)"
    # This script alone writes to the ticker, which therefore ends with it, however it ends.
    exec 8> >(tick "$start")
    ticker=$!
    "$@" >>"$log" 2>&1 </dev/null 8>&- || status=$?
    exec 8>&-
    # How the ticker ended says nothing about the command.
    wait "$ticker" || true
    if ((status != 0)); then
        say "    failed after $(took "$start")"
        return "$status"
    fi
    say "    done in $(took "$start")"
}

# tick START: prints a line every half minute until its input ends.
tick() {
    local status
    while true; do
        status=0
        read -rt "${EVERGRANT_TICK_SECONDS:-30}" || status=$?
        # Above 128 the time is over.
        ((status > 128)) || return 0
        printf '    still running: %s\n' "$(took "$1")"
    done
}

# show_failure: prints the end of the last step's output.
show_failure() {
    tail -c "+$((step_begins_at + 1))" "$log" | tail -n 40 | sed 's/^/    | /' >&2
    printf '    the full output is in %s\n' "$log" >&2
}

# linted CMD…: runs a cargo command with Clippy in the compiler's place for the packages of this workspace, so that one
# build both lints and produces what runs. A lint is an error.
linted() {
    RUSTC_WORKSPACE_WRAPPER=$(rustc --print sysroot)/bin/clippy-driver \
        CLIPPY_ARGS=-D__CLIPPY_HACKERY__warnings__CLIPPY_HACKERY__ "$@"
}
