# Tools that are built with cargo or come from npm, in a folder of their own. Sourced by scripts/setup, never run.

# at_least HAVE WANT: succeeds if version HAVE is WANT or newer.
at_least() { [[ $1 && $(printf '%s\n' "$1" "$2" | sort -V | head -n1) == "$2" ]]; }

# version_of CMD…: prints the first version in the first line of CMD's output; nothing if there is none.
# Prints the version that a tool names; nothing if the tool is missing.
version_of() { "$@" 2>/dev/null | sed -nE '1s/^[^0-9]*([0-9]+(\.[0-9]+)*).*/\1/p' || true; }

have_leptos() { at_least "$(version_of cargo-leptos --version)" "$CARGO_LEPTOS_VERSION"; }
# Tool and library must have the same version.
have_bindgen() { [[ $(version_of wasm-bindgen --version) == "$bindgen_version" ]]; }
have_wasm_opt() { at_least "$(version_of wasm-opt --version)" "${BINARYEN_VERSION%%.*}"; }
have_deny() { at_least "$(version_of cargo-deny --version)" "$CARGO_DENY_VERSION"; }
have_nextest() { at_least "$(version_of cargo-nextest nextest --version)" "$CARGO_NEXTEST_VERSION"; }
have_browser_libraries() { cmp -s end2end/package-lock.json end2end/node_modules/.installed; }

have_tools() {
    have_leptos && have_bindgen && have_wasm_opt || return 1
    [[ $mode == run ]] || { have_deny && have_nextest && have_browser_libraries; }
}

# The build folder is kept until all tools are installed, so that a second run can continue.
build_dir=$cache/build-tools

# build_tool CRATE VERSION OPT_LEVEL FLAG…: builds a tool into the folder of the tools. The tools' own release profiles
# use link-time optimization, which takes half an hour here and brings nothing for a build tool.
build_tool() {
    local crate=$1 version=$2 opt_level=$3
    shift 3
    env -u CARGO_BUILD_TARGET -u RUSTFLAGS CARGO_TARGET_DIR="$build_dir" CARGO_PROFILE_RELEASE_LTO=off \
        CARGO_PROFILE_RELEASE_CODEGEN_UNITS=64 CARGO_PROFILE_RELEASE_DEBUG=0 \
        CARGO_PROFILE_RELEASE_OPT_LEVEL="$opt_level" \
        cargo install "$crate" --version "=$version" --root "$tools" --force "$@"
}

# cargo_install CRATE VERSION OPT_LEVEL ABOUT FLAG…: installs a tool, or ends the script.
cargo_install() {
    local crate=$1 version=$2 opt_level=$3 about=$4
    shift 4
    if have cargo-binstall; then
        try_step "$crate $version, prebuilt" "10 s" cargo binstall --no-confirm --force --disable-strategies compile \
            --root "$tools" "$crate@$version" && return
    fi
    local build=(build_tool "$crate" "$version" "$opt_level" "$@")
    try_step "$crate $version, from source" "$about" "${build[@]}" --locked && return
    # A registry mirror that lags behind can lack a version that the tool's own lock file names.
    if ! tail -c "+$((step_begins_at + 1))" "$log" | grep -q 'failed to select a version'; then
        show_failure
        exit 1
    fi
    say "    the registry lacks a version from its lock file; building without the lock file"
    step "$crate $version, from source" "$about" "${build[@]}" || exit 1
}

install_wasm_opt() {
    local home=$tools/binaryen-$BINARYEN_VERSION
    if [[ ! -d $home ]]; then
        rm -rf "$home.part"
        mkdir -p "$home.part"
        step "wasm-opt (binaryen $BINARYEN_VERSION)" "20 s" \
            npm install --prefix "$home.part" --no-audit --no-fund --no-save "binaryen@$BINARYEN_VERSION"
        mv "$home.part" "$home"
    fi
    mkdir -p "$tools/bin"
    ln -sfn "$home/node_modules/.bin/wasm-opt" "$tools/bin/wasm-opt"
}

install_tools() {
    have_leptos || cargo_install cargo-leptos "$CARGO_LEPTOS_VERSION" 0 "10 min on two cores" --features no_downloads
    have_bindgen || cargo_install wasm-bindgen-cli "$bindgen_version" 1 "2 min on two cores"
    if ! have_wasm_opt; then install_wasm_opt; fi
    if [[ $mode == test ]]; then
        have_deny || cargo_install cargo-deny "$CARGO_DENY_VERSION" 0 "1 min on two cores"
        have_nextest || cargo_install cargo-nextest "$CARGO_NEXTEST_VERSION" 0 "3 min on two cores"
        if ! have_browser_libraries; then
            step "dependencies of the browser tests" "10 s" npm ci --prefix end2end --no-audit --no-fund
            cp end2end/package-lock.json end2end/node_modules/.installed
        fi
    fi
    rm -rf "$build_dir"
}
