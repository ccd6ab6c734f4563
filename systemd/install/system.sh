# shellcheck shell=bash disable=SC1091,SC2034,SC2153
# (Variables are shared: install.sh sources the files of this folder.)
#
# The computer around a release: packages, users, folders, boot settings and units, each only where it
# is missing. Sourced by install.sh; every path stands below $TARGET, which is empty on a real computer.

CONFIG_DIR=/etc/interlock
STATE_DIR=/var/lib/interlock
HUB_DIR=/var/lib/interlock-hub
UNIT_DIR=/etc/systemd/system
NODE_DROP_IN=$UNIT_DIR/interlock-node.service.d/devices.conf
JOURNALD_DROP_IN=/etc/systemd/journald.conf.d/interlock.conf
WATCHDOG_DROP_IN=/etc/systemd/system.conf.d/interlock.conf
MODULES_FILE=/etc/modules-load.d/interlock.conf

NODE_UNITS=(interlock-node.service interlock-sync.service interlock-firstboot.service)
# A service whose timer starts it is not enabled itself.
HUB_UNITS=(interlock-hub.service interlock-hub-jobs.service interlock-hub-jobs.timer
    interlock-backup.service interlock-backup.timer)
ROLLBACK_UNIT=interlock-rollback.service

NODE_PACKAGES=(python3-venv python3-lgpio python3-spidev python3-smbus2 python3-pil
    python3-luma.oled python3-luma.lcd)
HUB_PACKAGES=(python3-venv)

# One per bus the node may need; Raspberry Pi OS has them, plain Debian lacks some.
NODE_GROUPS=(gpio spi i2c input dialout)

BLOCK_BEGIN="# BEGIN Interlock (install.sh writes these lines, its uninstall removes them)"
BLOCK_END="# END Interlock"

# Whether a running service has to begin anew, and whether the Pi has to.
CHANGED=no
REBOOT=no

# ------------------------------------------------------------------------ files, once

is_live() { [[ -z $TARGET ]]; }

# The number of a user or group of the computer below $TARGET; that computer may not be this one.
number_of() { # passwd|group NAME
    awk -F: -v name="$2" '$1 == name { print $3 }' "$TARGET/etc/$1"
}

# own PATH MODE USER GROUP: said only where it is not so already, so that a second run changes nothing.
own() {
    local path=$1 mode=$2 user group want
    user=$(number_of passwd "$3")
    group=$(number_of group "$4")
    want=$user:$group
    # A normal user may rehearse below a folder of theirs; only root can give files away.
    if [[ $EUID -eq 0 && $(stat -c %u:%g "$path") != "$want" ]]; then
        chown "$want" "$path"
    fi
    if [[ $(stat -c %04a "$path") != "$mode" ]]; then
        chmod "$mode" "$path"
    fi
}

folder() { # PATH MODE USER GROUP
    if [[ $DRY_RUN == yes ]]; then
        [[ -d $TARGET$1 ]] || say "$(t "would make:" "créerait :") $TARGET$1 ($2 $3:$4)"
        return
    fi
    mkdir -p "$TARGET$1"
    own "$TARGET$1" "$2" "$3" "$4"
}

# put PATH <CONTENT: the file says that, mode 0644; replaced in one go where it says something else.
put() {
    local path=$TARGET$1 content
    content=$(cat)
    if [[ -f $path ]] && cmp -s "$path" <(printf '%s\n' "$content"); then
        return
    fi
    CHANGED=yes
    if [[ $DRY_RUN == yes ]]; then
        say "$(t "would write:" "écrirait :") $path"
        return
    fi
    mkdir -p "${path%/*}"
    printf '%s\n' "$content" >"$path.new"
    sync "$path.new"
    mv -f "$path.new" "$path"
}

# take_away PATH…: gone, and said.
take_away() {
    local path
    for path in "$@"; do
        [[ -e $TARGET$path || -L $TARGET$path ]] || continue
        if [[ $DRY_RUN == yes ]]; then
            say "$(t "would remove:" "enlèverait :") $TARGET$path"
        else
            rm -rf --one-file-system -- "$TARGET$path"
        fi
    done
}

# ------------------------------------------------------------------------ what computer this is

is_a_pi() {
    [[ -e $TARGET/etc/rpi-issue ]] ||
        { [[ -r $TARGET/proc/device-tree/model ]] &&
            tr -d '\0' <"$TARGET/proc/device-tree/model" | grep -q 'Raspberry Pi'; }
}

# An unknown system is warned about; --force goes on.
recognise_system() { # node|hub
    local id='' version=''
    if [[ -r $TARGET/etc/os-release ]]; then
        id=$(. "$TARGET/etc/os-release" && printf '%s' "${ID:-}")
        version=$(. "$TARGET/etc/os-release" && printf '%s' "${VERSION_ID:-}")
    fi
    local why=
    case $id:$version in
        debian:12 | debian:13 | raspbian:12 | raspbian:13) ;;
        *) why=$(t "this is ${id:-an unknown system} ${version}, and Interlock was made for Debian or Raspberry Pi OS 12 and 13" \
            "ce système est ${id:-inconnu} ${version} ; Interlock est fait pour Debian ou Raspberry Pi OS 12 et 13") ;;
    esac
    if [[ $1 == node ]] && ! is_a_pi; then
        why=$(t "this computer is not a Raspberry Pi" "cet ordinateur n'est pas un Raspberry Pi")
    fi
    [[ -n $why ]] || return 0
    if [[ $FORCE == yes ]]; then
        complain "$(t "Going on although $why (--force)." "On continue quand même (--force) : $why.")"
        return
    fi
    complain "$(t "Not done: $why." "Rien n'a été fait : $why.")"
    complain "$(t "What to do: use such a computer, or go on at your own risk with --force." \
        "Que faire : prendre un tel ordinateur, ou continuer à vos risques avec --force.")"
    exit "$EXIT_FAULT"
}

# ------------------------------------------------------------------------ users and folders

make_group() {
    [[ -n $(number_of group "$1") ]] && return
    step "$(t "Making the group $1" "Création du groupe $1")" \
        "$(t "Look at /etc/group and the log." "Regardez /etc/group et le journal.")" \
        groupadd --system "$1"
}

make_user() { # NAME HOME
    [[ -n $(number_of passwd "$1") ]] && return
    step "$(t "Making the user $1" "Création de l'utilisateur $1")" \
        "$(t "Look at /etc/passwd and the log." "Regardez /etc/passwd et le journal.")" \
        useradd --system --gid "$1" --home-dir "$2" --no-create-home --shell /usr/sbin/nologin "$1"
}

make_node_users() {
    local name
    for name in interlock interlock-sync "${NODE_GROUPS[@]}"; do
        make_group "$name"
    done
    make_user interlock "$STATE_DIR"
    make_user interlock-sync /nonexistent
}

# The machine's file and its two secrets come from --from DIR the first time, and get their owners.
take_configuration() {
    local name source
    for name in node.toml node.json sync.json; do
        [[ -n $FROM ]] || break
        # The hub names them after the machine: saw.node.json.
        source=$(compgen -G "$FROM/*$name" | head -n 1) || true
        [[ -n $source ]] || continue
        if [[ -e $TARGET$CONFIG_DIR/$name ]] && cmp -s "$source" "$TARGET$CONFIG_DIR/$name"; then
            continue
        fi
        CHANGED=yes
        if [[ $DRY_RUN == yes ]]; then
            say "$(t "would copy: $source to $TARGET$CONFIG_DIR/$name" "copierait : $source vers $TARGET$CONFIG_DIR/$name")"
            continue
        fi
        # Readable by nobody else at any moment.
        install -m 0600 "$source" "$TARGET$CONFIG_DIR/$name.new"
        mv -f "$TARGET$CONFIG_DIR/$name.new" "$TARGET$CONFIG_DIR/$name"
    done
    [[ $DRY_RUN == no ]] || return 0
    for name in node.toml node.json sync.json; do
        [[ -e $TARGET$CONFIG_DIR/$name ]] || continue
        case $name in
            sync.json) own "$TARGET$CONFIG_DIR/$name" 0640 root interlock-sync ;;
            *) own "$TARGET$CONFIG_DIR/$name" 0640 root interlock ;;
        esac
    done
}

is_configured() { [[ -e $TARGET$CONFIG_DIR/node.toml && -e $TARGET$CONFIG_DIR/node.json ]]; }
is_connected() { is_configured && [[ -e $TARGET$CONFIG_DIR/sync.json ]]; }

# ------------------------------------------------------------------------ the computer's own name

# Through systemd, because the first boot's own unit may write neither file; a machine works under any name.
name_computer() {
    local before hosts=/etc/hosts
    before=$(cat "$TARGET/etc/hostname" 2>/dev/null || true)
    if [[ -z $HOSTNAME_WANTED || $before == "$HOSTNAME_WANTED" ]]; then
        return 0
    fi
    if ! is_live; then
        put /etc/hostname <<<"$HOSTNAME_WANTED"
        [[ ! -f $TARGET$hosts ]] || put "$hosts" < <(hosts_with_name "$TARGET$hosts")
    elif [[ $DRY_RUN == yes ]]; then
        say "$(t "would call this computer:" "appellerait cet ordinateur :") $HOSTNAME_WANTED"
    elif ! systemd-run --quiet --wait --collect hostnamectl set-hostname "$HOSTNAME_WANTED" >>"$LOG" 2>&1 ||
        { [[ -f $hosts ]] &&
            ! systemd-run --quiet --wait --collect sed -i "$(in_hosts)" "$hosts" >>"$LOG" 2>&1; }; then
        complain "$(t "This computer could not be called $HOSTNAME_WANTED; everything else is as wanted." \
            "Cet ordinateur n'a pas pu s'appeler $HOSTNAME_WANTED ; tout le reste est comme voulu.")"
    fi
}

# The line by which Debian finds its own name without a network; sudo complains without it.
in_hosts() { printf 's/^127\\.0\\.1\\.1[[:space:]].*/127.0.1.1\t%s/' "$HOSTNAME_WANTED"; }
hosts_with_name() { sed "$(in_hosts)" "$1"; }

# ------------------------------------------------------------------------ boot settings of a Pi

boot_config() {
    local path
    for path in /boot/firmware/config.txt /boot/config.txt; do
        if [[ -f $TARGET$path ]]; then
            printf '%s\n' "$path"
            return
        fi
    done
}

without_block() { # FILE
    sed -e "\|^${BLOCK_BEGIN//[()]/.}\$|,\|^$BLOCK_END\$|d" "$1"
}

# Our lines stand in one marked block; the rest of the file is somebody else's.
write_boot_block() { # DEVICES
    local path
    path=$(boot_config)
    if [[ -z $path ]]; then
        complain "$(t "No config.txt: strict_gpiod, SPI and the watchdog are for you to switch on." \
            "Pas de config.txt : c'est à vous d'activer strict_gpiod, SPI et le chien de garde.")"
        return
    fi
    local before=$CHANGED content
    content=$(
        without_block "$TARGET$path"
        printf '%s\n' "$BLOCK_BEGIN" '[all]'
        if [[ $1 == *spidev* ]]; then printf '%s\n' 'dtparam=spi=on'; fi
        printf '%s\n' 'dtparam=strict_gpiod' 'dtparam=watchdog=on'
        if [[ $1 == *i2c* ]]; then printf '%s\n' 'dtparam=i2c_arm=on'; fi
        printf '%s\n' "$BLOCK_END"
    )
    CHANGED=no
    put "$path" <<<"$content"
    if [[ $CHANGED == yes ]]; then REBOOT=yes; fi
    CHANGED=$before
}

remove_boot_block() {
    local path
    path=$(boot_config)
    [[ -n $path ]] || return 0
    put "$path" < <(without_block "$TARGET$path")
}

switch_spi_on() {
    command -v raspi-config >/dev/null || return 0
    # 0 is raspi-config's "yes", here and below.
    [[ $(raspi-config nonint get_spi) != 0 ]] || return 0
    step "$(t "Switching SPI on" "Activation du bus SPI")" \
        "$(t "Run raspi-config, Interface Options, SPI." "Lancez raspi-config, Interface Options, SPI.")" \
        raspi-config nonint do_spi 0
}

set_up_pi() {
    local devices=spidev needed=
    if is_configured; then
        devices=$(in_release node units --config "$TARGET$CONFIG_DIR/node.toml")
        needed=$(in_release node units --modules --config "$TARGET$CONFIG_DIR/node.toml")
        put "$NODE_DROP_IN" <<<"$devices"
        if [[ -n $needed ]]; then
            put "$MODULES_FILE" <<<"$needed"
        fi
    fi
    put "$JOURNALD_DROP_IN" <<'TEXT'
# The log lives in memory: an SD card that is written day and night dies. What must last is in the journal.
[Journal]
Storage=volatile
RuntimeMaxUse=32M
TEXT
    put "$WATCHDOG_DROP_IN" <<'TEXT'
# A kernel that hangs is reset by the Pi's own watchdog, which counts to 15 s at most.
[Manager]
RuntimeWatchdogSec=15
TEXT
    write_boot_block "$devices"
    if [[ $devices == *spidev* ]]; then
        switch_spi_on
    fi
}

# ------------------------------------------------------------------------ units

has_role() { # node|hub
    [[ -e $TARGET$UNIT_DIR/interlock-$1.service ]]
}

units_of() { # node|hub
    case $1 in
        node) printf '%s\n' "${NODE_UNITS[@]}" "$ROLLBACK_UNIT" ;;
        hub) printf '%s\n' "${HUB_UNITS[@]}" "$ROLLBACK_UNIT" ;;
    esac
}

# The units of a release belong to it: an older program gets its older units back.
install_units() { # FOLDER ROLE…
    local source=$1 role unit
    shift
    for role in "$@"; do
        for unit in $(units_of "$role"); do
            [[ -e $source/$unit ]] || continue
            put "$UNIT_DIR/$unit" <"$source/$unit"
        done
    done
    for unit in $(for role in "$@"; do units_of "$role"; done); do
        if [[ -e $source/$unit && ! -L $(link_of "$unit") ]] && grep -q '^WantedBy=' "$source/$unit"; then
            enable "$unit"
        fi
    done
    if is_live && [[ $CHANGED == yes && $DRY_RUN == no ]]; then
        systemctl daemon-reload
    fi
}

# link_of UNIT: where systemd keeps that it is enabled.
link_of() {
    case $1 in
        *.timer) printf '%s\n' "$TARGET$UNIT_DIR/timers.target.wants/$1" ;;
        *) printf '%s\n' "$TARGET$UNIT_DIR/multi-user.target.wants/$1" ;;
    esac
}

enable() { # UNIT
    local link
    if [[ $DRY_RUN == yes ]]; then
        say "$(t "would enable:" "activerait :") $1"
    elif is_live; then
        case $1 in
            # From now on, and not only from the next start of the computer.
            *.timer) systemctl --quiet enable --now "$1" ;;
            *) systemctl --quiet enable "$1" ;;
        esac
    else
        link=$(link_of "$1")
        mkdir -p "${link%/*}"
        ln -s "$UNIT_DIR/$1" "$link"
    fi
}
