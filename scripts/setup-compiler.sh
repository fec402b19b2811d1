# The compiler, with wasm32. Sourced by scripts/setup, never run.

from_rustup() {
    local run=$1
    if ! { rustup run "$channel" cargo clippy -V && rustup run "$channel" cargo fmt --version; } >/dev/null 2>&1 ||
        ! rustup target list --toolchain "$channel" --installed 2>/dev/null | grep -qx wasm32-unknown-unknown ||
        ! rustup component list --toolchain "$channel" --installed 2>/dev/null | grep -qx rust-src; then
        # The timeout covers the whole download, so that a server that does not answer cannot block the setup.
        RUST_BACKTRACE=0 RUSTUP_MAX_RETRIES=1 "$run" "Rust $channel with wasm32, from rustup" "1 min" timeout 900 \
            rustup toolchain install "$channel" --profile minimal -c clippy -c rust-src -c rustfmt -t wasm32-unknown-unknown ||
            return 1
    fi
    # An override from an earlier fallback to Debian's compiler would take precedence over rust-toolchain.toml.
    if rustup override list 2>/dev/null | grep -qF "$root"; then rustup override unset --path "$root" >>"$log" 2>&1; fi
}

from_debian() {
    local missing=()
    for package in rustc-web cargo-web rust-web-src rust-web-llvm rustfmt-web rust-web-clippy "$DEBIAN_LLD"; do
        [[ $(dpkg-query -W -f '${db:Status-Status}' "$package" 2>/dev/null) == installed ]] || missing+=("$package")
    done
    ((${#missing[@]} == 0)) || apt_install "${missing[@]}"
    [[ $(rustup run debian rustc --print sysroot 2>/dev/null) == /usr ]] || rustup toolchain link debian /usr
    local lib=/usr/lib/rustlib/wasm32-unknown-unknown/lib built
    built=$cache/std-$(rustup run debian rustc -V | tr ' ()' '-' | tr -s -)
    if [[ ! -e $lib/.evergrant || $(cat "$lib/.evergrant") != "$built" ]]; then
        step "Rust's standard library for wasm32, from Debian's source" "1 min" \
            "$root/scripts/debian-toolchain" "$built"
        as_root mkdir -p "$lib"
        as_root cp "$built"/*.rlib "$lib/"
        say "$built" | as_root tee "$lib/.evergrant" >/dev/null
    fi
    # An override takes precedence over rust-toolchain.toml, so plain cargo and cargo leptos use it too.
    rustup override set debian --path "$root" >>"$log" 2>&1
}

install_compiler() {
    case $wanted in
    rustup) from_rustup step || die "rustup could not install Rust $channel; EVERGRANT_TOOLCHAIN=debian uses Debian's" ;;
    debian) from_debian ;;
    *)
        if ! from_rustup try_step; then
            if ! have apt-get; then
                show_failure
                die "rustup could not install Rust $channel. Only on Debian can another compiler take its place"
            fi
            say "    using Debian's compiler instead"
            from_debian
        fi
        ;;
    esac
}
