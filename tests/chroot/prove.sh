#!/usr/bin/env bash
# Proves install.sh where nothing is preinstalled: a bare Debian goes in, PROVED or a reason comes out.
#
#   sudo tests/chroot/prove.sh env            the commands that change nothing, a normal user without
#                                             packages, and the making of the environment (3 minutes)
#   sudo tests/chroot/prove.sh demo           a normal user runs the demo, looks at it and ends it
#   sudo tests/chroot/prove.sh test           root runs every test, as CI does; then a second run
#   sudo tests/chroot/prove.sh fast           a normal user is told the one apt command; root runs the pure tests
#   sudo SUITE=trixie tests/chroot/prove.sh … the same on Debian 13
#   sudo CHROOT=DIR tests/chroot/prove.sh …   keep the Debian in DIR and use it again
#
# The Debian is `mmdebstrap --variant=minbase --include=git,python3,ca-certificates`; what runs is a
# fresh clone of the last commit, so what is not committed is not proved. Needs mmdebstrap and
# systemd-container. A developer's machine has its own package mirrors and certificates: they are
# lent to the container here, so that install.sh need not know of them.

set -Eeuo pipefail

REPOSITORY=$(cd "$(dirname "${BASH_SOURCE[0]}")/../.." && pwd)
SUITE=${SUITE:-bookworm}
NEWCOMER=newcomer
CHECKOUT=/home/$NEWCOMER/interlock
DEMO_READY_S=60
DEMO_GONE_S=15

KEEP=yes
KEPT=
if [[ -z ${CHROOT:-} ]]; then
    KEEP=no
    CHROOT=$(mktemp -d /tmp/interlock-prove.XXXXXX)
fi
LENT=()

clean_up() {
    if [[ $KEEP == no ]]; then
        rm -rf --one-file-system "$CHROOT"
    fi
}
trap clean_up EXIT
trap 'printf "NOT PROVED: line %s failed\n" "$LINENO" >&2' ERR

say() { printf '\n### %s (%d s)\n' "$*" "$SECONDS"; }

fail() {
    printf 'NOT PROVED: %s\n' "$*" >&2
    trap - ERR
    exit 1
}

# ------------------------------------------------------------------------ the bare Debian

make_debian() {
    if [[ -e $CHROOT/var/lib/interlock-was-proved ]]; then
        KEPT=yes
    fi
    if [[ ! -x $CHROOT/usr/bin/python3 ]]; then
        say "Making a bare Debian $SUITE in $CHROOT"
        mmdebstrap --quiet --variant=minbase --include=git,python3,ca-certificates \
            "$SUITE" "$CHROOT"
        printf '%s:x:1000:1000::/home/%s:/bin/bash\n' "$NEWCOMER" "$NEWCOMER" >>"$CHROOT/etc/passwd"
        printf '%s:x:1000:\n' "$NEWCOMER" >>"$CHROOT/etc/group"
    fi
    rm -rf "${CHROOT:?}$CHECKOUT"
    mkdir -p "$CHROOT/home/$NEWCOMER"
    mkdir -p "$CHROOT/var/lib"
    touch "$CHROOT/var/lib/interlock-was-proved"
    git clone --quiet "$REPOSITORY" "$CHROOT$CHECKOUT"
    chown -R 1000:1000 "$CHROOT/home/$NEWCOMER"
}

# What this host needs to reach Debian's mirror and PyPI, the container needs too.
lend_the_hosts_mirrors() {
    local name value path
    cp -a /etc/ssl/certs/ca-certificates.crt "$CHROOT/etc/ssl/certs/ca-certificates.crt"
    for path in /etc/apt/apt.conf.d/*; do
        case ${path##*/} in 99*) cp "$path" "$CHROOT/etc/apt/apt.conf.d/" ;; esac
    done
    while IFS='=' read -r name value; do
        case $name in
            PIP_* | SSL_CERT_FILE | REQUESTS_CA_BUNDLE | *_proxy | *_PROXY)
                LENT+=("--setenv=$name=$value")
                ;;
        esac
    done < <(env)
    if [[ -r /etc/pip.conf ]]; then
        cp /etc/pip.conf "$CHROOT/etc/pip.conf"
    fi
    for path in "$HOME/.config/pip/pip.conf" "$HOME/.pip/pip.conf"; do
        if [[ -r $path ]]; then
            install -D -m 0644 "$path" "$CHROOT/etc/xdg/pip/pip.conf"
        fi
    done
    for path in /opt/pypi /opt/pypi-more /opt/wheels; do
        if [[ -d $path ]]; then
            LENT+=("--bind-ro=$path")
        fi
    done
}

# inside USER COMMAND…: run it in the container, in the checkout, without a terminal.
inside() {
    local user=$1
    shift
    # nspawn ends with a warning about its own propagation folder where /run is on a disk.
    systemd-nspawn --quiet --directory="$CHROOT" --register=no --keep-unit --pipe \
        --resolv-conf=bind-host --as-pid2 --user="$user" --chdir="$CHECKOUT" \
        --setenv=CI=true "${LENT[@]}" "$@" </dev/null 2> >(grep -v 'disk file system under' >&2 || true)
}

tree_of_checkout() {
    (cd "$CHROOT$CHECKOUT" && find . -path ./.git -prune -o -printf '%p %s %T@\n' | sort)
}

# ------------------------------------------------------------------------ what is proved

prove_that_looking_changes_nothing() {
    say "--help and --dry-run change nothing"
    local before after
    before=$(tree_of_checkout)
    inside "$NEWCOMER" ./install.sh --help
    inside "$NEWCOMER" ./install.sh --dry-run demo
    inside "$NEWCOMER" ./install.sh --dry-run test
    inside root ./install.sh --dry-run test
    after=$(tree_of_checkout)
    [[ $before == "$after" ]] || fail "a dry run changed the checkout"
}

prove_the_one_apt_command() {
    if [[ -n $KEPT ]]; then
        say "$CHROOT was used before: its packages are not asked for again"
        APT_COMMAND=
        return
    fi
    say "A normal user without packages: one apt command, exit 3"
    local printed code=0
    printed=$(trap - ERR && inside "$NEWCOMER" ./install.sh "$1" --prepare) || code=$?
    printf '%s\n' "$printed"
    [[ $code -eq 3 ]] || fail "exit code $code, not 3"
    APT_COMMAND=$(grep -o 'apt-get install.*' <<<"$printed") || fail "no apt command printed"
    [[ $(grep -c 'apt-get install' <<<"$printed") -eq 1 ]] || fail "more than one apt command"
}

run_the_apt_command() {
    if [[ -z $APT_COMMAND ]]; then
        return
    fi
    say "Root runs that very command: $APT_COMMAND"
    inside root apt-get update --quiet=2
    inside root env DEBIAN_FRONTEND=noninteractive sh -c "$APT_COMMAND" >/dev/null
}

prove_the_second_run_is_idle() { # ARGUMENT…
    say "The second run installs nothing"
    local printed
    printed=$(inside root ./install.sh --dry-run "$@")
    if grep 'would do: Installing' <<<"$printed"; then
        fail "the second run would install again"
    fi
}

prove_env() {
    prove_that_looking_changes_nothing
    prove_the_one_apt_command test
    prove_the_one_apt_command demo
    run_the_apt_command
    say "A normal user makes the environment of the demo"
    inside "$NEWCOMER" ./install.sh demo --prepare
    inside "$NEWCOMER" .venv/bin/python -c 'import django, requests, interlock'
    [[ -f $CHROOT$CHECKOUT/.venv/bin/interlock ]] || fail "no interlock command was made"
    prove_the_second_run_is_idle demo
    say "Root makes the environment of the tests"
    inside root ./install.sh test --prepare
    prove_the_second_run_is_idle test
}

prove_demo() {
    prove_the_one_apt_command demo
    run_the_apt_command
    say "A normal user runs the demo, opens its pages, and ends it with Ctrl-C"
    cp "$REPOSITORY/tests/chroot/look_at_demo.py" "$CHROOT/home/$NEWCOMER/"
    inside "$NEWCOMER" /usr/bin/python3 "/home/$NEWCOMER/look_at_demo.py" \
        "$DEMO_READY_S" "$DEMO_GONE_S"
}

prove_test() {
    say "Root runs every test"
    inside root ./install.sh test
    prove_the_second_run_is_idle test
    say "A normal user is told which tests need root"
    chown -R 1000:1000 "$CHROOT/home/$NEWCOMER"
    inside "$NEWCOMER" ./install.sh test root
}

prove_fast() {
    prove_the_one_apt_command test
    say "Root runs the pure tests"
    inside root ./install.sh test fast
}

[[ $EUID -eq 0 ]] || fail "making a Debian needs root: sudo $0 $*"
case ${1:-} in
    env | demo | test | fast) ;;
    *) fail "say what to prove: env, demo, test or fast" ;;
esac
make_debian
lend_the_hosts_mirrors
"prove_$1"
say "PROVED: $1 on a bare Debian $SUITE"
