# shellcheck shell=bash disable=SC1091,SC2034,SC2153
# (Variables are shared: install.sh sources the files of this folder.)
#
# A card that is never written: its system in an overlay whose changes stay in memory, the data of Interlock
# on a partition of its own. Sourced by install.sh after commands.sh.
#
# raspi-config knows how this release of Raspberry Pi OS does it, and since Bookworm it puts every other
# partition of /etc/fstab into memory too (raspberrypi/bookworm-feedback#137): sessions would be lost at each
# power cut. So the word that it writes is completed here with recurse=0, and nothing is switched on before the
# data stand on a partition of their own.

OVERLAY_WORD=overlayroot=tmpfs
OVERLAY_OURS=$OVERLAY_WORD:recurse=0

boot_words() {
    local path
    for path in /boot/firmware/cmdline.txt /boot/cmdline.txt; do
        if [[ -f $TARGET$path ]]; then
            printf '%s\n' "$path"
            return
        fi
    done
}

# Whether what is written on this system now is gone at the next start.
is_overlaid() { grep -qs 'boot=overlay\|overlayroot=tmpfs' "$TARGET/proc/cmdline"; }

# Another system's words have no say here: an overlay keeps nothing, so nothing is begun on one.
require_a_card_that_keeps() {
    is_overlaid || return 0
    complain "$(t "This card is read-only (overlay): what is changed now is gone at the next start. Nothing was changed." \
        "Cette carte est en lecture seule (overlay) : ce qui change maintenant disparaît au prochain démarrage. Rien n'a été changé.")"
    complain "$(t "What to do: sudo ./install.sh node --no-overlay, sudo reboot, then this again." \
        "Que faire : sudo ./install.sh node --no-overlay, sudo reboot, puis relancez ceci.")"
    exit "$EXIT_FAULT"
}

# own_partition FOLDER: it is mounted from a partition of its own at every start, and now.
own_partition() {
    awk -v folder="$1" '$1 !~ /^#/ && $2 == folder && $3 !~ /^(tmpfs|overlay)$/ { found = 1 } END { exit !found }' \
        "$TARGET/etc/fstab" 2>/dev/null || return 1
    ! is_live || findmnt --mountpoint "$1" --options rw >/dev/null
}

refuse_overlay() { # WHY WHAT-TO-DO
    complain "$1"
    complain "$2"
    exit "$EXIT_FAULT"
}

# Before anything else is done: what --overlay would lose.
require_fit_for_overlay() {
    local folder folders=("$STATE_DIR")
    if has_role hub; then folders+=("$HUB_DIR"); fi
    if [[ -z $(boot_words) ]] || ! command -v raspi-config >/dev/null; then
        refuse_overlay \
            "$(t "--overlay: this computer has no raspi-config or no cmdline.txt. Nothing was changed." \
                "--overlay : cet ordinateur n'a pas raspi-config ou pas de cmdline.txt. Rien n'a été changé.")" \
            "$(t "What to do: use Raspberry Pi OS, or leave --overlay out." \
                "Que faire : prendre Raspberry Pi OS, ou se passer de --overlay.")"
    fi
    for folder in "${folders[@]}"; do
        own_partition "$folder" || refuse_overlay \
            "$(t "--overlay: $folder stands on the system's partition, so every session would be lost at a power cut. Nothing was changed." \
                "--overlay : $folder est sur la partition du système, donc chaque session serait perdue à une coupure de courant. Rien n'a été changé.")" \
            "$(t "What to do: give it a partition of its own (docs/install.md, A card that is never written)." \
                "Que faire : lui donner sa propre partition (docs/install.fr.md, Une carte jamais écrite).")"
    done
    is_connected || [[ -n $FROM ]] || refuse_overlay \
        "$(t "--overlay: this computer is not a machine's node yet, and could not become one on a card that keeps nothing. Nothing was changed." \
            "--overlay : cet ordinateur n'est pas encore le nœud d'une machine, et ne pourrait pas le devenir sur une carte qui ne garde rien. Rien n'a été changé.")" \
        "$(t "What to do: first the six words (docs/install.md), then this again." \
            "Que faire : d'abord les six mots (docs/install.fr.md), puis relancez ceci.")"
}

switch_overlay_on() {
    local path
    path=$(boot_words)
    grep -qw "$OVERLAY_OURS" "$TARGET$path" && return
    if ! grep -q "$OVERLAY_WORD" "$TARGET$path"; then
        step "$(t "Switching the overlay on, from the next start" "Activation de l'overlay, au prochain démarrage")" \
            "$(t "Run raspi-config, Performance, Overlay File System, look at its message; then run this again." \
                "Lancez raspi-config, Performance, Overlay File System, lisez son message ; puis relancez ceci.")" \
            raspi-config nonint enable_overlayfs
    fi
    put "$path" < <(sed "s/${OVERLAY_WORD}[^ ]*/$OVERLAY_OURS/" "$TARGET$path")
    if [[ $DRY_RUN == no ]] && ! grep -qw "$OVERLAY_OURS" "$TARGET$path"; then
        # Half of it would be worse than nothing.
        switch_overlay_off
        refuse_overlay \
            "$(t "raspi-config did not write $OVERLAY_WORD into $path; the card stays as it was." \
                "raspi-config n'a pas écrit $OVERLAY_WORD dans $path ; la carte reste comme elle était.")" \
            "$(t "What to do: leave --overlay out, and tell whoever looks after Interlock." \
                "Que faire : se passer de --overlay, et prévenir qui s'occupe d'Interlock.")"
    fi
    REBOOT=yes
}

# cmdline.txt stands on the first partition, which is no part of the overlay.
switch_overlay_off() {
    local path
    path=$(boot_words)
    if [[ -z $path ]] || ! grep -q "$OVERLAY_WORD" "$TARGET$path"; then
        return
    fi
    put "$path" < <(sed -E "s/ ?${OVERLAY_WORD}[^ ]*//; s/^ //" "$TARGET$path")
    say "$(t "The card keeps what is written again after: sudo reboot" \
        "La carte gardera de nouveau ce qui s'écrit après : sudo reboot")"
}

# raspi-config by hand, since Bookworm: everything looks well, and every session lies in memory.
require_data_on_the_card() {
    if ! is_overlaid || grep -qsw "recurse=0" "$TARGET/proc/cmdline"; then
        return
    fi
    complain "$(t "This card is read-only (overlay), and so is $STATE_DIR: every session since the last start is lost at a power cut." \
        "Cette carte est en lecture seule (overlay), et $STATE_DIR avec elle : chaque session depuis le dernier démarrage est perdue à une coupure de courant.")"
    complain "$(t "What to do: sudo ./install.sh node --no-overlay, sudo reboot, then sudo ./install.sh node --overlay." \
        "Que faire : sudo ./install.sh node --no-overlay, sudo reboot, puis sudo ./install.sh node --overlay.")"
    return 1
}
