# Tools that are built with cargo or come from npm, in a folder of their own. Sourced by scripts/setup, never run.

# at_least HAVE WANT: succeeds if version HAVE is WANT or newer.
at_least() { [[ $1 && $(printf '%s\n' "$1" "$2" | sort -V | head -n1) == "$2" ]]; }

# version_of CMD…: prints the first version in the first line of CMD's output; nothing if there is none.
version_of() { "$@" 2>/dev/null | sed -nE '1s/^[^0-9]*([0-9]+(\.[0-9]+)*).*/\1/p' || true; }

have_deny() { at_least "$(version_of cargo-deny --version)" "$CARGO_DENY_VERSION"; }
have_nextest() { at_least "$(version_of cargo-nextest nextest --version)" "$CARGO_NEXTEST_VERSION"; }
# have_libraries FOLDER: whether what its package-lock.json names is installed in it.
have_libraries() { cmp -s "$1/package-lock.json" "$1/node_modules/.installed"; }

have_tools() {
    have_libraries scripts/site || return 1
    [[ $mode == run ]] || { have_deny && have_nextest && have_libraries end2end; }
}

# The build folder is kept until all tools are installed, so that a second run can continue.
build_dir=$cache/build-tools

# build_tool CRATE VERSION FLAG…: builds a tool into the folder of the tools. The tools' own release profiles
# use link-time optimization, which takes half an hour here and brings nothing for a build tool.
build_tool() {
    local crate=$1 version=$2
    shift 2
    env -u CARGO_BUILD_TARGET -u RUSTFLAGS CARGO_TARGET_DIR="$build_dir" CARGO_PROFILE_RELEASE_LTO=off \
        CARGO_PROFILE_RELEASE_CODEGEN_UNITS=64 CARGO_PROFILE_RELEASE_DEBUG=0 CARGO_PROFILE_RELEASE_OPT_LEVEL=0 \
        cargo install "$crate" --version "=$version" --root "$tools" --force "$@"
}

# cargo_install CRATE VERSION ABOUT: installs a tool, or ends the script.
cargo_install() {
    local crate=$1 version=$2 about=$3
    if have cargo-binstall; then
        try_step "$crate $version, prebuilt" "10 s" cargo binstall --no-confirm --force --disable-strategies compile \
            --root "$tools" "$crate@$version" && return
    fi
    local build=(build_tool "$crate" "$version")
    try_step "$crate $version, from source" "$about" "${build[@]}" --locked && return
    # A registry mirror that lags behind can lack a version that the tool's own lock file names.
    if ! tail -c "+$((step_begins_at + 1))" "$log" | grep -q 'failed to select a version'; then
        show_failure
        exit 1
    fi
    say "    the registry lacks a version from its lock file; building without the lock file"
    step "$crate $version, from source" "$about" "${build[@]}" || exit 1
}

# install_libraries FOLDER WHAT: installs what its package-lock.json names. No package runs a script of its own.
install_libraries() {
    ! have_libraries "$1" || return 0
    step "$2" "10 s" npm ci --prefix "$1" --ignore-scripts --no-audit --no-fund
    cp "$1/package-lock.json" "$1/node_modules/.installed"
}

install_tools() {
    install_libraries scripts/site "what makes the browser's files small"
    if [[ $mode == test ]]; then
        have_deny || cargo_install cargo-deny "$CARGO_DENY_VERSION" "1 min on two cores"
        have_nextest || cargo_install cargo-nextest "$CARGO_NEXTEST_VERSION" "3 min on two cores"
        install_libraries end2end "dependencies of the browser tests"
    fi
    rm -rf "$build_dir"
}
