# shellcheck shell=bash disable=SC1091,SC2034,SC2153
# (Variables are shared: install.sh sources the files of this folder.)
#
# Releases: built in a folder of their own, tried there, switched to by one symlink, and taken back when
# the machine does not come up with them. Sourced by install.sh after system.sh.
#
#   /opt/interlock/releases/NAME/venv        the program
#   /opt/interlock/releases/NAME/installer   the installer and units that belong to it
#   /opt/interlock/releases/NAME/RELEASE     written last: without it, the folder is half a release
#   /opt/interlock/current, previous         symlinks
#   /opt/interlock/unconfirmed               the release before, while the current one is not proved

HOME_DIR=/opt/interlock
RELEASES=$HOME_DIR/releases
CURRENT=$HOME_DIR/current
PREVIOUS=$HOME_DIR/previous
UNCONFIRMED=$HOME_DIR/unconfirmed

# 8-installation.md: healthy within a minute, or back.
GATE_S=60
# Longer than a watchdog of 2 s, its abort of 1 s and a restart of 1 s together: what hangs is found out.
HEALTHY_S=6
# What dies so often within the minute will not live at its end: the way back begins at once.
DEATHS_MAX=5
HUB_PORT=8080
# A night: whoever says --unattended is not there to be asked.
SESSION_WAIT_S_MAX=43200
SESSION_POLL_S=10
LOOK_AT_HUB='
import sys, urllib.request
urllib.request.urlopen(f"http://127.0.0.1:{sys.argv[1]}/", timeout=5).close()'

RELEASE_NAME=
RELEASE_DIR=
# Where wheels and installer come from: this checkout, or the unpacked --offline FILE.
SOURCE=$ROOT

# ------------------------------------------------------------------------ what is to be built

# A release tarball says what it holds and is held to it; it may be unpacked already.
open_source() { # ROLE…
    if [[ -n $OFFLINE ]]; then
        STEP=$(t "opening $OFFLINE" "ouverture de $OFFLINE")
        REMEDY=$(t "Download the file again and compare its SHA-256." \
            "Téléchargez le fichier à nouveau et comparez son SHA-256.")
        SOURCE=$(mktemp -d "${TMPDIR:-/tmp}/interlock-release.XXXXXX")
        SCRATCH=$SOURCE
        tar -C "$SOURCE" --no-same-owner --strip-components=1 -xf "$OFFLINE"
    fi
    if [[ -d $SOURCE/wheels ]]; then
        STEP=$(t "checking the release's hashes" "vérification des empreintes de la version")
        (cd "$SOURCE" && sha256sum --quiet --strict -c SHA256SUMS)
        if [[ " $* " == *" hub "* ]] && ! compgen -G "$SOURCE/wheels/[Dd]jango-*.whl" >/dev/null; then
            complain "$(t "${OFFLINE:-$SOURCE} is for a machine's computer alone, and a hub is wanted here. Nothing was changed." \
                "${OFFLINE:-$SOURCE} est pour l'ordinateur d'une machine seulement, et ici il faut un hub. Rien n'a été changé.")"
            complain "$(t "What to do: use the release's tarball without -node- in its name." \
                "Que faire : prendre l'archive de la version sans -node- dans son nom.")"
            exit "$EXIT_FAULT"
        fi
    fi
}

version_of_source() {
    if [[ -d $SOURCE/wheels ]]; then
        compgen -G "$SOURCE/wheels/interlock_fablab-*.whl" | sed 's/.*interlock_fablab-\([^-]*\)-.*/\1/'
    else
        sed -n 's/^__version__ = "\(.*\)"/\1/p' "$ROOT/interlock/__init__.py"
    fi
}

# Two sources with one fingerprint make the same release.
fingerprint_of_source() { # ROLE…
    {
        "$PYTHON" -V
        printf '%s\n' "$MFRC522" "$@"
        if [[ -d $SOURCE/wheels ]]; then
            cat "$SOURCE/SHA256SUMS"
        else
            cd "$ROOT" && find interlock systemd config install.sh pyproject.toml requirements.lock -type f \
                -not -path '*/__pycache__/*' -exec sha256sum {} + | sort
        fi
    } | sha256sum | cut -d' ' -f1
}

# The version's own name, or with eight digits of what it was made from where another has that name.
choose_release() { # ROLE…
    local version finger name
    version=$(version_of_source)
    finger=$(fingerprint_of_source "$@")
    for name in "$version" "$version-${finger:0:8}"; do
        RELEASE_NAME=$name
        RELEASE_DIR=$TARGET$RELEASES/$name
        if [[ ! -e $RELEASE_DIR/RELEASE || $(<"$RELEASE_DIR/RELEASE") == "$finger" ]]; then
            break
        fi
    done
    FINGERPRINT=$finger
}

# ------------------------------------------------------------------------ building and trying it

require_release() { # ROLE…
    choose_release "$@"
    if [[ -e $RELEASE_DIR/RELEASE ]]; then
        return
    fi
    local network_remedy
    network_remedy=$(t "Check the network and the free space (df -h), or use --offline FILE; then run this again." \
        "Vérifiez le réseau et la place libre (df -h), ou utilisez --offline FICHIER ; puis relancez.")
    if [[ -d $RELEASE_DIR ]]; then
        step "$(t "Clearing what an interrupted run left" "Nettoyage des restes d'un essai interrompu")" \
            "$network_remedy" rm -rf --one-file-system -- "$RELEASE_DIR"
    fi
    step "$(t "Making the environment of release $RELEASE_NAME" \
        "Création de l'environnement de la version $RELEASE_NAME")" \
        "$network_remedy" make_environment "$@"
    step "$(t "Installing Interlock $RELEASE_NAME and its libraries" \
        "Installation d'Interlock $RELEASE_NAME et de ses bibliothèques")" \
        "$network_remedy" fill_environment "$@"
    step "$(t "Trying the new release before anything uses it" \
        "Essai de la nouvelle version avant que rien ne s'en serve")" \
        "$(t "Nothing was changed; the machine works as before. Send the log to whoever helps you." \
            "Rien n'a changé ; la machine marche comme avant. Envoyez le journal à qui vous aide.")" \
        try_release "$@"
    if [[ $DRY_RUN == no ]]; then
        # Everything it consists of reaches the disk before the word that it is whole.
        sync -f "$RELEASE_DIR"
        printf '%s\n' "$FINGERPRINT" >"$RELEASE_DIR/RELEASE"
        sync -f "$RELEASE_DIR"
    fi
}

make_environment() { # ROLE…
    local site=()
    # lgpio, spidev and luma are Debian's: PyPI has no wheels of them for a Pi, or empty ones.
    if [[ " $* " == *" node "* ]]; then site=(--system-site-packages); fi
    mkdir -p "$RELEASE_DIR"
    "$PYTHON" -m venv "${site[@]}" "$RELEASE_DIR/venv"
}

fill_environment() { # ROLE…
    local extras=() role python=$RELEASE_DIR/venv/bin/python
    for role in "$@"; do
        case $role in
            node) extras+=(sync readers) ;;
            hub) extras+=(hub) ;;
        esac
    done
    if [[ -d $SOURCE/wheels ]]; then
        fill_from_wheels "${extras[@]}"
    else
        PIP_NO_CACHE_DIR=1 install_locked "$python" "${extras[@]}"
        make_wheel
        "$python" -m pip install --no-input --disable-pip-version-check --no-index --no-deps \
            "$RELEASE_DIR"/build/interlock_fablab-*.whl
        rm -rf --one-file-system -- "$RELEASE_DIR/build"
    fi
    mkdir -p "$RELEASE_DIR/installer"
    cp "$SOURCE/install.sh" "$RELEASE_DIR/installer/"
    # config/: the ready machines that an SD card's first boot chooses from.
    cp -r "$SOURCE/systemd" "$SOURCE/config" "$RELEASE_DIR/installer/"
}

# Each wheel of a release tarball was the lock's when it was made (tests/release.py), and is what SHA256SUMS says.
fill_from_wheels() { # EXTRA…
    local list
    list=$(IFS=, && printf '%s' "$*")
    local pip=("$RELEASE_DIR/venv/bin/python" -m pip install --no-input --disable-pip-version-check --no-cache-dir
        --no-index --find-links "$SOURCE/wheels")
    "${pip[@]}" "$(compgen -G "$SOURCE/wheels/interlock_fablab-*.whl")[$list]"
    if [[ " $* " == *" readers "* ]]; then "${pip[@]}" --no-deps "$MFRC522"; fi
}

# What builds it is locked too, and stands beside the environment: no machine keeps a builder.
make_wheel() {
    local folder=$RELEASE_DIR/build
    local pip=("$RELEASE_DIR/venv/bin/python" -m pip --quiet --no-input --disable-pip-version-check --no-cache-dir)
    mkdir -p "$folder"
    locked --alone build | "${pip[@]}" install --no-deps --require-hashes --only-binary :all: \
        --target "$folder" --requirement /dev/stdin
    PYTHONPATH=$folder "${pip[@]}" wheel --no-deps --no-build-isolation --wheel-dir "$folder" "$ROOT"
}

in_release() {
    local program=$RELEASE_DIR/venv/bin/interlock
    # A dry run has built nothing; what runs now answers in its place, where there is one.
    [[ -x $program ]] || program=$TARGET$CURRENT/venv/bin/interlock
    [[ -x $program ]] || return 0
    "$program" "$@"
}

try_release() { # ROLE…
    local role python=$RELEASE_DIR/venv/bin/python
    [[ $("$RELEASE_DIR/venv/bin/interlock" --version) == *" $(version_of_source)" ]]
    for role in "$@"; do
        case $role in
            node)
                "$python" -c 'import interlock.node.service, interlock.sync.service'
                if is_a_pi && is_live; then
                    # A symbol of each: PyPI's lgpio 0.0.0.2 is empty, and its import succeeds.
                    "$python" -c 'import lgpio, spidev; lgpio.gpiochip_open, spidev.SpiDev'
                fi
                if [[ -e $TARGET$CONFIG_DIR/node.toml ]]; then
                    in_release node check-config --config "$TARGET$CONFIG_DIR/node.toml"
                    in_release node units --config "$TARGET$CONFIG_DIR/node.toml"
                fi
                ;;
            hub) "$python" -c 'import django, uvicorn, interlock.hub.commands' ;;
        esac
    done
}

# ------------------------------------------------------------------------ never during a session

# none, open, or unknown: a node that runs and does not answer may have a session.
session_of_node() {
    local answer
    if ! is_live || ! has_role node || ! systemctl --quiet is-active interlock-node.service; then
        printf 'none\n'
        return
    fi
    answer=$(timeout 10 "$CURRENT/venv/bin/interlock" node status --json 2>/dev/null || true)
    case $answer in
        *'"session_open": false'*) printf 'none\n' ;;
        *'"session_open": true'*) printf 'open\n' ;;
        *) printf 'unknown\n' ;;
    esac
}

require_no_session() {
    local state waited=0 told=no
    state=$(session_of_node)
    while [[ $state != none ]]; do
        if [[ $FORCE == yes && $state == unknown ]]; then
            complain "$(t "The node does not answer; going on (--force)." "Le nœud ne répond pas ; on continue (--force).")"
            return
        fi
        if [[ $UNATTENDED == no || $waited -ge $SESSION_WAIT_S_MAX ]]; then
            complain "$(t "Somebody is using the machine (or its node does not answer): nothing was changed." \
                "Quelqu'un utilise la machine (ou son nœud ne répond pas) : rien n'a été changé.")"
            complain "$(t "What to do: run this again when the machine is free; --unattended waits for that by itself." \
                "Que faire : relancez quand la machine est libre ; --unattended attend ce moment tout seul.")"
            exit "$EXIT_FAULT"
        fi
        if [[ $told == no ]]; then
            told=yes
            say "$(t "Somebody is using the machine: waiting until it is free." \
                "Quelqu'un utilise la machine : on attend qu'elle soit libre.")"
        fi
        sleep "$SESSION_POLL_S"
        waited=$((waited + SESSION_POLL_S))
        state=$(session_of_node)
    done
}

# ------------------------------------------------------------------------ switching, and the gate

point() { # LINK RELEASE: one rename, so that a power cut leaves the old or the new.
    ln -sfn "releases/$2" "$TARGET$1.new"
    mv -Tf "$TARGET$1.new" "$TARGET$1"
    sync -f "$TARGET$HOME_DIR"
}

pointed() { # LINK
    [[ -L $TARGET$1 ]] || return 0
    basename "$(readlink "$TARGET$1")"
}

roles() {
    local role
    for role in node hub; do
        if has_role "$role"; then printf '%s\n' "$role"; fi
    done
}

# What should run: a node without its files waits for them, and is no fault.
running_units() {
    if has_role node && is_configured; then printf '%s\n' interlock-node.service; fi
    if has_role node && is_connected; then printf '%s\n' interlock-sync.service; fi
    if has_role hub; then printf '%s\n' interlock-hub.service; fi
}

restart_services() {
    local units
    mapfile -t units < <(running_units)
    if [[ ${#units[@]} -gt 0 ]]; then
        # Not waited for here: a node that never gets ready must not hold up the way back.
        systemctl restart --no-block "${units[@]}"
    fi
}

main_pids() {
    local units
    mapfile -t units < <(running_units)
    [[ ${#units[@]} -eq 0 ]] || systemctl show --property=MainPID --value "${units[@]}"
}

answers() {
    local unit
    for unit in $(running_units); do
        systemctl --quiet is-active "$unit" || return 1
    done
    if has_role node && is_configured; then
        timeout 10 "$CURRENT/venv/bin/interlock" node status >/dev/null 2>&1 || return 1
    fi
    if has_role hub; then
        timeout 10 "$CURRENT/venv/bin/python" -c "$LOOK_AT_HUB" "$HUB_PORT" >/dev/null 2>&1 || return 1
    fi
}

# How often systemd has had to start anything again; an explicit restart begins to count anew.
deaths() {
    local units
    mapfile -t units < <(running_units)
    # A unit of no service, and no unit at all, have died 0 times.
    systemctl show --property=NRestarts --value "${units[@]}" | awk '{ sum += $1 } END { print sum + 0 }'
}

# Everything that should run runs as the same processes and answers for HEALTHY_S seconds on end.
is_healthy() {
    local began=$SECONDS since=$SECONDS before='' now died fewest
    fewest=$(deaths)
    while ((SECONDS - began < GATE_S)); do
        died=$(deaths)
        if ((died < fewest)); then fewest=$died; fi
        if ((died - fewest >= DEATHS_MAX)); then
            return 1
        fi
        now=$(main_pids)
        if [[ $now != "$before" ]] || ! answers; then
            before=$now
            since=$SECONDS
        elif ((SECONDS - since >= HEALTHY_S)); then
            return 0
        fi
        sleep 1
    done
    return 1
}

keep_last_words() {
    {
        printf '== why the release was taken back\n'
        journalctl --no-pager --lines=40 --unit='interlock-*' || true
    } >>"$LOG" 2>&1
}

# switch_to NAME: it runs and is proved, or what ran before runs again and this fails.
switch_to() {
    local name=$1 before
    before=$(pointed "$CURRENT")
    if [[ $DRY_RUN == yes ]]; then
        [[ $before == "$name" ]] || say "$(t "would switch: $TARGET$CURRENT to $name" "basculerait : $TARGET$CURRENT vers $name")"
        return
    fi
    if ! is_live; then
        if [[ $before != "$name" ]]; then
            point "$CURRENT" "$name"
            keep_as_previous "$before"
        fi
        return
    fi
    if [[ $before == "$name" && $CHANGED == no && ! -e $UNCONFIRMED ]]; then
        local units
        mapfile -t units < <(running_units)
        [[ ${#units[@]} -eq 0 ]] || systemctl start --no-block "${units[@]}"
        prove "$name" ""
        return
    fi
    require_no_session
    if [[ $before != "$name" ]]; then
        printf '%s\n' "$before" >"$UNCONFIRMED"
        sync "$UNCONFIRMED"
        point "$CURRENT" "$name"
    fi
    restart_services
    prove "$name" "$before"
}

keep_as_previous() { # RELEASE
    if [[ -n $1 && -e $TARGET$RELEASES/$1/RELEASE ]]; then point "$PREVIOUS" "$1"; fi
}

# prove NAME BEFORE: the gate, and what follows from it.
prove() {
    local name=$1 before=$2 began=$SECONDS
    STEP=$(t "waiting until everything answers" "attente que tout réponde")
    printf '%s ' "$(t "Waiting until everything answers (up to $GATE_S s)" \
        "Attente que tout réponde ($GATE_S s au plus)")"
    start_ticker
    if is_healthy; then
        stop_ticker
        say " $(t "done" "fait") ($((SECONDS - began)) s)"
        if [[ $before != "$name" ]]; then keep_as_previous "$before"; fi
        rm -f "$UNCONFIRMED"
        return
    fi
    stop_ticker
    say ""
    keep_last_words
    if [[ -z $before || $before == "$name" || ! -e $RELEASES/$before/RELEASE ]]; then
        rm -f "$UNCONFIRMED"
        complain "$(t "Interlock $name does not answer, and there is no other release to go back to." \
            "Interlock $name ne répond pas, et il n'y a pas d'autre version à laquelle revenir.")"
        complain "$(t "What to do: journalctl -u 'interlock-*' -b says why; the last lines are in $LOG." \
            "Que faire : journalctl -u 'interlock-*' -b dit pourquoi ; les dernières lignes sont dans $LOG.")"
        exit "$EXIT_FAULT"
    fi
    take_back "$name" "$before"
}

take_back() { # BROKEN GOOD
    complain "$(t "Interlock $1 does not answer: going back to $2." \
        "Interlock $1 ne répond pas : retour à $2.")"
    point "$CURRENT" "$2"
    restore_units
    restart_services
    if is_healthy; then
        rm -f "$UNCONFIRMED"
        prune
        complain "$(t "Interlock $2 works again. Why $1 did not is at the end of $LOG: send it to whoever helps you." \
            "Interlock $2 marche de nouveau. Pourquoi $1 n'a pas marché est à la fin de $LOG : envoyez-le à qui vous aide.")"
    else
        complain "$(t "Interlock $2 does not answer either; the relay is off. What to do: journalctl -u 'interlock-*' -b" \
            "Interlock $2 ne répond pas non plus ; le relais est coupé. Que faire : journalctl -u 'interlock-*' -b")"
    fi
    exit "$EXIT_FAULT"
}

# The units that belong to the current release, for the roles of this computer.
restore_units() {
    local wanted
    mapfile -t wanted < <(roles)
    install_units "$TARGET$CURRENT/installer/systemd" "${wanted[@]}"
}

# The current release and the one before stay; halves and older ones go.
prune() {
    local path name current previous
    current=$(pointed "$CURRENT")
    previous=$(pointed "$PREVIOUS")
    for path in "$TARGET$RELEASES"/*; do
        [[ -d $path ]] || continue
        name=${path##*/}
        if [[ $name != "$current" && $name != "$previous" ]]; then
            take_away "$RELEASES/$name"
        fi
    done
}
