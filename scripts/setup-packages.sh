# Packages of the operating system. Sourced by scripts/setup, never run.

# Every command that the scripts need, with the Debian package that has it.
commands_for_run=(cc:build-essential pkg-config:pkg-config node:nodejs npm:npm)
commands_for_test=(
    # The browser without its windows: the stories take a quarter less time than in Debian's `chromium`.
    chromium-headless-shell:chromium-headless-shell
    curl:curl openssl:openssl python3:python3 sqlite3:sqlite3 systemd-analyze:systemd
    # The tests of database addresses connect through it.
    pgbouncer:pgbouncer
    initdb:postgresql
)

# have_command NAME: also finds what Debian puts where only root looks, or no one.
have_command() {
    case $1 in
    initdb) compgen -G '/usr/lib/postgresql/*/bin/initdb' >/dev/null || have initdb ;;
    chromium-headless-shell) have chromium-headless-shell || [[ ${CHROMIUM:-} ]] ;;
    pgbouncer) [[ -x /usr/sbin/pgbouncer ]] || have pgbouncer ;;
    *) have "$1" ;;
    esac
}

# missing_commands: prints the missing ones as NAME:PACKAGE.
missing_commands() {
    local all=("${commands_for_run[@]}") one
    [[ $mode == run ]] || all+=("${commands_for_test[@]}")
    for one in "${all[@]}"; do have_command "${one%%:*}" || say "$one"; done
}

have_deploy_tools() { have promtool && have caddy && have nginx && have docker-compose; }

# What they are in. The Python packages are those of docker-compose.
deploy_packages=(prometheus caddy nginx docker-compose)
deploy_packages+=(python3-{attr,certifi,chardet,charset-normalizer,distro,docker,dockerpty,docopt,dotenv,idna,jsonschema})
deploy_packages+=(python3-{pkg-resources,pyrsistent,requests,six,texttable,urllib3,websocket,yaml})

have_packages() { [[ -z $(missing_commands) ]] && { [[ $mode == run ]] || have_deploy_tools; }; }

# check_system: says what to install by hand where this script can't.
check_system() {
    local missing=() one
    for one in flock timeout rustup; do have "$one" || missing+=("$one"); done
    if [[ $mode == test && $(uname -s) != Linux ]]; then
        die "the tests need Linux, because they read /proc and check systemd's files: run them in a container or a virtual \
machine with Debian. \`make run\` needs no Linux"
    fi
    if ! have apt-get; then
        while read -r one; do missing+=("${one%%:*}"); done < <(missing_commands)
        [[ $mode == run ]] || have_deploy_tools || missing+=(promtool caddy nginx docker-compose)
    fi
    ((${#missing[@]})) || return 0
    say "error: missing: ${missing[*]}" >&2
    if [[ " ${missing[*]} " == *' rustup '* ]]; then say "Install rustup, any version, from https://rustup.rs." >&2; fi
    if [[ $(uname -s) == Darwin ]]; then
        say "Install the compiler (cc) with: xcode-select --install" >&2
        say "Install what else is missing with: brew install coreutils flock node pkg-config" >&2
    elif ! have apt-get; then
        say "This script installs packages on Debian and Ubuntu only. Use your package manager, such as:" >&2
        say "    Fedora: dnf install gcc make pkgconf-pkg-config nodejs npm" >&2
        say "    Arch:   pacman -S base-devel nodejs npm" >&2
        [[ $mode == run ]] || say "The tests need Chromium (CHROMIUM=PATH names it), PostgreSQL's server (initdb), PgBouncer, \
SQLite's shell, systemd, Prometheus (promtool), Caddy, nginx, and docker-compose, too." >&2
    fi
    die "install what is missing, then run this again"
}

as_root() { if ((EUID == 0)); then "$@"; else sudo "$@"; fi; }

apt_install() {
    have apt-get || die "missing: $*, which are packages of Debian"
    ((EUID == 0)) || have sudo || die "this needs root, and sudo is missing. Run as root: apt-get install $*"
    step "Debian's package lists" "10 s" as_root apt-get update
    step "Debian packages: $*" "1 min" \
        as_root env DEBIAN_FRONTEND=noninteractive apt-get install -y --no-install-recommends "$@"
}

unpack_deploy_tools() {
    rm -rf "$deploy_tools" "$deploy_tools.part"
    mkdir -p "$deploy_tools.part"
    (
        cd "$deploy_tools.part"
        apt-get download "${deploy_packages[@]}" ||
            { as_root apt-get update && apt-get download "${deploy_packages[@]}"; }
        for package in *.deb; do dpkg -x "$package" .; done
        rm ./*.deb
    )
    mv "$deploy_tools.part" "$deploy_tools"
}

install_packages() {
    local packages=() one
    while read -r one; do packages+=("${one#*:}"); done < <(missing_commands)
    if have apt-get; then
        [[ -e /etc/ssl/certs/ca-certificates.crt ]] || packages+=(ca-certificates)
        # Without a font, the browser renders pages without text.
        [[ " ${packages[*]-} " != *' chromium-headless-shell '* ]] || packages+=(fonts-liberation)
    fi
    ((${#packages[@]} == 0)) || apt_install "${packages[@]}"
    if [[ $mode == test ]] && ! have_deploy_tools; then
        step "promtool, caddy, nginx, and docker-compose, unpacked" "10 s" unpack_deploy_tools
    fi
}
