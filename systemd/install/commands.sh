# shellcheck shell=bash disable=SC1091,SC2034,SC2153
# (Variables are shared: install.sh sources the files of this folder.)
#
# What `sudo ./install.sh node`, hub, upgrade, rollback, uninstall and doctor do, from the first look to
# the last sentence. Sourced by install.sh after system.sh and release.sh.

OWNER_LINK=
# How people reach the hub, and by which number this computer can be reached in any case.
HUB_URL=
FIRST_ADDRESS=
# What tells others a Raspberry Pi's name, followed by .local.
AVAHI=/usr/sbin/avahi-daemon
# What waits for the caller of `configure` to have written its last words.
REBOOT_S=5

require_root() {
    if [[ $EUID -ne 0 && $DRY_RUN == no ]] && is_live; then
        complain "$(t "Only root may do that. What to do: sudo ./install.sh …" \
            "Seul root peut faire cela. Que faire : sudo ./install.sh …")"
        exit "$EXIT_USAGE"
    fi
}

# Two installers at once would each prune what the other builds.
lock_installer() {
    [[ $DRY_RUN == no ]] || return 0
    mkdir -p "$TARGET/var/log" "$TARGET/run"
    exec {INSTALLER_LOCK}>"$TARGET/run/interlock-install.lock"
    if ! flock --nonblock "$INSTALLER_LOCK"; then
        complain "$(t "Another installation is running. What to do: wait until it has ended." \
            "Une autre installation est en cours. Que faire : attendre qu'elle se termine.")"
        exit "$EXIT_FAULT"
    fi
}

begin() {
    require_root
    LOG=$TARGET/var/log/interlock-install.log
    DEBIAN_PYTHON=$TARGET/usr/lib/python3/dist-packages
    lock_installer
    STEP=$(t "looking at this computer" "examen de cet ordinateur")
    REMEDY=$(t "Read the messages above and $LOG." "Lisez les messages ci-dessus et $LOG.")
}

# ------------------------------------------------------------------------ node, hub, upgrade

install_roles() { # ROLE…
    local role
    require_a_card_that_keeps
    if [[ $OVERLAY == on ]]; then require_fit_for_overlay; fi
    open_source "$@"
    for role in "$@"; do
        recognise_system "$role"
    done
    require_no_session
    for role in "$@"; do
        "prepare_$role"
    done
    require_python
    require_release "$@"
    if [[ " $* " == *" node "* ]]; then
        name_computer
        set_up_pi
    fi
    if [[ " $* " == *" hub "* ]]; then require_hub; fi
    install_units "$SOURCE/systemd" "$@"
    switch_to "$RELEASE_NAME"
    if [[ $DRY_RUN == no ]]; then prune; fi
}

prepare_node() {
    require_packages "${NODE_PACKAGES[@]}"
    make_node_users
    folder "$CONFIG_DIR" 0750 root interlock
    folder "$STATE_DIR" 0711 interlock interlock
    folder "$STATE_DIR/spool" 2770 interlock interlock-sync
    folder "$STATE_DIR/run" 0711 interlock interlock
    take_configuration
}

prepare_hub() {
    choose_public_url
    require_packages "${HUB_PACKAGES[@]}"
    make_group interlock-hub
    make_user interlock-hub "$HUB_DIR"
    folder "$HUB_DIR" 0700 interlock-hub interlock-hub
}

# HUB_URL is what people type. A hub that is there keeps its own; a new one gets --url, $INTERLOCK_HUB_URL or an
# answer at the terminal, and without all three this computer's name. Asked before anything takes its minutes.
choose_public_url() {
    local answer kept=''
    FIRST_ADDRESS=$(hostname -I 2>/dev/null | awk '{ print $1 }') || true
    if [[ -e $TARGET$HUB_DIR/hub.toml ]]; then
        kept=$(sed -n 's/^url = "\(.*\)".*/\1/p' "$TARGET$HUB_DIR/hub.toml")
        HUB_URL=${kept:-http://${FIRST_ADDRESS:-127.0.0.1}:$HUB_PORT}
        if [[ -n $PUBLIC_URL && ${PUBLIC_URL%/} != "${kept%/}" ]]; then
            complain "$(t "The hub that is here keeps its address ($HUB_URL): change url in $HUB_DIR/hub.toml, then sudo systemctl restart interlock-hub." \
                "Le hub qui est là garde son adresse ($HUB_URL) : changez url dans $HUB_DIR/hub.toml, puis sudo systemctl restart interlock-hub.")"
        fi
        return
    fi
    if [[ -n $PUBLIC_URL ]]; then
        if ! take_public_url "$PUBLIC_URL"; then exit "$EXIT_USAGE"; fi
        return
    fi
    take_public_url "$(own_name)"
    if [[ ! -t 0 || $UNATTENDED == yes || $DRY_RUN == yes ]] || ! is_live; then
        return
    fi
    say "$(t "What do people type to open the hub? Its e-mails will carry it; take what will not change." \
        "Que tape-t-on pour ouvrir le hub ? Ses courriels porteront cette adresse ; prenez-en une qui ne changera pas.")"
    while true; do
        printf '%s [%s] ' "$(t "Address" "Adresse")" "$HUB_URL"
        if ! read -r answer || [[ -z $answer ]]; then break; fi
        if take_public_url "$answer"; then break; fi
    done
    say ""
}

# What Debian calls this computer, as others find it: .local where it announces itself, as a Raspberry Pi does.
own_name() {
    local name
    name=$(hostname 2>/dev/null) || true
    [[ $name == *.* || ! -x $AVAHI ]] || name=$name.local
    printf '%s' "${name:-127.0.0.1}"
}

# take_public_url TEXT: HUB_URL is TEXT, completed where it is a name alone; false, and said, where it is no address.
take_public_url() {
    local url=${1%/} port
    [[ $url == *://* ]] || url=http://$url
    if [[ ! $url =~ ^(https?)://([A-Za-z0-9]([A-Za-z0-9.-]{0,251}[A-Za-z0-9])?|\[[0-9A-Fa-f:.]+\])(:([0-9]{1,5}))?$ ]]; then
        complain "$(t "'$1' is no address that a browser opens: write one like http://hub.lab.example:$HUB_PORT, without a path." \
            "« $1 » n'est pas une adresse qu'un navigateur ouvre : écrivez par exemple http://hub.labo.example:$HUB_PORT, sans chemin.")"
        return 1
    fi
    port=${BASH_REMATCH[5]}
    if [[ -n $port ]] && ((10#$port < 1 || 10#$port > 65535)); then
        complain "$(t "'$1': a port is a number from 1 to 65535." "« $1 » : un port est un nombre de 1 à 65535.")"
        return 1
    fi
    # A name alone is this very hub; whoever writes http:// or https:// may have a proxy at the usual port.
    if [[ -z $port && $1 != *://* ]]; then url=$url:$HUB_PORT; fi
    HUB_URL=${url,,}
}

# A hub that is there already is recognised by its hub.toml, and left as it is.
require_hub() {
    local address=${ADDRESS:-$FIRST_ADDRESS} zone=Europe/Paris
    if [[ -e $TARGET$HUB_DIR/hub.toml ]] || ! is_live; then
        return
    fi
    if [[ $DRY_RUN == yes ]]; then
        say "$(t "would make:" "créerait :") $(t "the hub in" "le hub dans") $HUB_DIR"
        return
    fi
    STEP=$(t "making the hub" "création du hub")
    REMEDY=$(t "If $HUB_DIR holds half a hub, move it away and run this again." \
        "Si $HUB_DIR contient la moitié d'un hub, déplacez-la et relancez.")
    if [[ -L /etc/localtime ]]; then
        zone=$(readlink /etc/localtime | sed 's|.*/zoneinfo/||; s|^Etc/UTC$|UTC|')
    fi
    OWNER_LINK=$(cd / && setpriv --reuid=interlock-hub --regid=interlock-hub --clear-groups \
        "$RELEASE_DIR/venv/bin/interlock" hub init --dir "$HUB_DIR" --language "$UI_LANGUAGE" \
        --time-zone "$zone" --url "$HUB_URL" ${address:+--node-address "$address"} 2>>"$LOG")
}

install_node() {
    local wanted=(node)
    if [[ $OVERLAY == off ]]; then
        switch_overlay_off
        # What runs now keeps nothing: the installation is for after the restart.
        if is_overlaid; then return; fi
    fi
    if has_role hub; then wanted+=(hub); fi
    install_roles "${wanted[@]}"
    if [[ $OVERLAY == on ]]; then switch_overlay_on; fi
    say_next_for_node
}

install_hub() {
    local wanted=(hub)
    if has_role node; then wanted=(node hub); fi
    install_roles "${wanted[@]}"
    say_next_for_hub
}

require_a_role() {
    if ! has_role node && ! has_role hub; then
        complain "$(t "Interlock is not installed here. What to do: sudo ./install.sh node, or hub." \
            "Interlock n'est pas installé ici. Que faire : sudo ./install.sh node, ou hub.")"
        exit "$EXIT_USAGE"
    fi
}

upgrade() {
    local wanted before
    require_a_role
    mapfile -t wanted < <(roles)
    before=$(pointed "$CURRENT")
    install_roles "${wanted[@]}"
    say ""
    if [[ $DRY_RUN == yes ]]; then
        say "$(t "That was a rehearsal: nothing was changed." "C'était une répétition : rien n'a été changé.")"
        return
    fi
    say "$(t "Interlock $RELEASE_NAME runs (before: $before)." "Interlock $RELEASE_NAME est en marche (avant : $before).")"
    say "$(t "Try the machine with a badge; sudo ./install.sh rollback takes it back." \
        "Essayez la machine avec un badge ; sudo ./install.sh rollback revient en arrière.")"
}

# ------------------------------------------------------------------------ rollback, confirm

rollback() {
    local name
    require_a_role
    require_a_card_that_keeps
    name=$(pointed "$PREVIOUS")
    if [[ -z $name || ! -e $TARGET$RELEASES/$name/RELEASE ]]; then
        complain "$(t "There is no release to go back to. What to do: sudo ./install.sh upgrade installs one." \
            "Il n'y a pas de version à laquelle revenir. Que faire : sudo ./install.sh upgrade en installe une.")"
        exit "$EXIT_FAULT"
    fi
    require_no_session
    local wanted
    mapfile -t wanted < <(roles)
    install_units "$TARGET$RELEASES/$name/installer/systemd" "${wanted[@]}"
    switch_to "$name"
    [[ $DRY_RUN == yes ]] ||
        say "$(t "Interlock $name runs. Try the machine with a badge." \
            "Interlock $name est en marche. Essayez la machine avec un badge.")"
}

# interlock-rollback.service at boot: an upgrade was cut between the switch and its proof.
confirm() {
    [[ -e $UNCONFIRMED ]] || return 0
    prove "$(pointed "$CURRENT")" "$(<"$UNCONFIRMED")"
    prune
}

# ------------------------------------------------------------------------ the first boot, and its image

# interlock-firstboot.service, once node.toml and keys are there: what `node` does with them, and the start.
configure() {
    require_a_role
    require_a_card_that_keeps
    STEP=$(t "setting this computer up for its machine" "réglage de cet ordinateur pour sa machine")
    name_computer
    take_configuration
    set_up_pi
    is_live && [[ $DRY_RUN == no ]] || return 0
    systemctl daemon-reload
    if [[ $REBOOT == yes ]]; then
        say "$(t "The boot settings changed: this computer restarts." \
            "Les réglages de démarrage ont changé : cet ordinateur redémarre.")"
        # Later, so that whoever called has the time to write what it did.
        systemd-run --quiet --on-active="$REBOOT_S" systemctl reboot
        return
    fi
    restart_services
    if ! is_healthy; then
        complain "$(t "The machine does not answer: sudo ./install.sh doctor" \
            "La machine ne répond pas : sudo ./install.sh doctor")"
        exit "$EXIT_FAULT"
    fi
}

# This card may be copied: nothing on it belongs to one computer alone.
image() {
    local name
    require_a_role
    require_a_card_that_keeps
    if has_role hub; then
        complain "$(t "This is a hub: two of it would contradict each other. Nothing was changed." \
            "C'est un hub : deux copies se contrediraient. Rien n'a été changé.")"
        exit "$EXIT_USAGE"
    fi
    for name in node.json sync.json enrolling.json first-boot.json; do
        [[ -e $TARGET$CONFIG_DIR/$name ]] || continue
        complain "$(t "This card is a machine's node ($CONFIG_DIR/$name): copies of it would all be the same node. Nothing was changed." \
            "Cette carte est le nœud d'une machine ($CONFIG_DIR/$name) : ses copies seraient toutes le même nœud. Rien n'a été changé.")"
        complain "$(t "What to do: make the image of a fresh card on which only sudo ./install.sh node was run." \
            "Que faire : faire l'image d'une carte neuve sur laquelle seul sudo ./install.sh node a été lancé.")"
        exit "$EXIT_USAGE"
    done
    if [[ $DRY_RUN == yes ]]; then
        say "$(t "would empty:" "viderait :") $TARGET/etc/machine-id; $(t "would remove:" "enlèverait :") $TARGET/etc/ssh/ssh_host_*"
        return
    fi
    # Empty, not absent: systemd makes a new one at the next boot of each copy.
    : >"$TARGET/etc/machine-id"
    rm -f "$TARGET/var/lib/dbus/machine-id" "$TARGET/var/lib/systemd/random-seed" "$TARGET"/etc/ssh/ssh_host_*
    # Raspberry Pi OS has a unit that makes new SSH keys; its package makes them elsewhere.
    if is_live && systemctl --quiet cat regenerate_ssh_host_keys.service >/dev/null 2>&1; then
        systemctl --quiet enable regenerate_ssh_host_keys.service
    fi
    say "$(t "This card may be copied now: shut it down (sudo poweroff) and read the card into an image." \
        "Cette carte peut être copiée : éteignez-la (sudo poweroff) et lisez-la dans une image.")"
    say "$(t "Put each machine's interlock.toml from the hub's page on the first partition of its copy." \
        "Mettez sur la première partition de chaque copie le interlock.toml de sa machine, de la page du hub.")"
}

# ------------------------------------------------------------------------ uninstall

uninstall() {
    local role unit
    require_a_card_that_keeps
    require_no_session
    for role in node hub; do
        for unit in $(units_of "$role"); do
            [[ -e $TARGET$UNIT_DIR/$unit ]] || continue
            if is_live && [[ $DRY_RUN == no ]]; then
                systemctl --quiet stop "$unit"
                systemctl --quiet disable "$unit" 2>>"$LOG" || true
            fi
            take_away "$UNIT_DIR/$unit" "$UNIT_DIR/multi-user.target.wants/$unit" \
                "$UNIT_DIR/timers.target.wants/$unit"
        done
    done
    # When a missed timer last ran is kept by systemd.
    take_away /var/lib/systemd/timers/stamp-interlock-backup.timer
    take_away "$NODE_DROP_IN" "$JOURNALD_DROP_IN" "$WATCHDOG_DROP_IN" "$MODULES_FILE" "$HOME_DIR"
    # Drop-ins of the owner's stay, and then so does their folder.
    rmdir "$TARGET${NODE_DROP_IN%/*}" 2>/dev/null || true
    remove_boot_block
    if grep -qsw "$OVERLAY_OURS" "$TARGET$(boot_words)"; then switch_overlay_off; fi
    if is_live && [[ $DRY_RUN == no ]]; then systemctl daemon-reload; fi
    say "$(t "Interlock is gone; its configuration ($CONFIG_DIR) and data ($STATE_DIR, $HUB_DIR) are still there, with the users that own them." \
        "Interlock est retiré ; sa configuration ($CONFIG_DIR) et ses données ($STATE_DIR, $HUB_DIR) sont encore là, avec les utilisateurs à qui elles appartiennent.")"
    say "$(t "The machine stays without power until somebody wires it otherwise." \
        "La machine reste sans courant tant que personne ne la câble autrement.")"
}

# ------------------------------------------------------------------------ doctor

look() {
    local code=0
    require_a_role
    say "$(t "Release: $(pointed "$CURRENT"); before it: $(pointed "$PREVIOUS")" \
        "Version : $(pointed "$CURRENT") ; avant elle : $(pointed "$PREVIOUS")")"
    if has_role node; then require_data_on_the_card || code=$EXIT_FAULT; fi
    if has_role node && is_configured; then
        "$TARGET$CURRENT/venv/bin/interlock" doctor --lang "$UI_LANGUAGE" \
            --config "$TARGET$CONFIG_DIR/node.toml" || code=$?
    elif has_role node; then
        say_next_for_node
    fi
    if has_role hub && is_live; then
        (cd / && setpriv --reuid=interlock-hub --regid=interlock-hub --clear-groups \
            "$TARGET$CURRENT/venv/bin/interlock" hub doctor --lang "$UI_LANGUAGE" --dir "$HUB_DIR") || code=$?
    fi
    exit "$code"
}

# ------------------------------------------------------------------------ two sentences at the end

say_next_for_node() {
    say ""
    if [[ $DRY_RUN == yes ]]; then
        say "$(t "That was a rehearsal: nothing was changed." "C'était une répétition : rien n'a été changé.")"
    elif ! is_configured; then
        say "$(t "Interlock is installed and waits: it does not know its machine yet." \
            "Interlock est installé et attend : il ne connaît pas encore sa machine.")"
        say "$(t "On the hub's page Computers at machines, With an SD card, download interlock.toml, put it on this card's first partition (/boot/firmware) with the machine's node.toml, and run: sudo reboot" \
            "Au hub, page Ordinateurs des machines, Avec une carte SD, téléchargez interlock.toml, mettez-le sur la première partition de cette carte (/boot/firmware) avec le node.toml de la machine, puis : sudo reboot")"
    elif [[ $REBOOT == yes ]]; then
        say "$(t "Interlock is installed; the Pi's boot settings changed, so restart it now: sudo reboot" \
            "Interlock est installé ; les réglages de démarrage du Pi ont changé, redémarrez-le : sudo reboot")"
        say "$(t "Then run: sudo ./install.sh doctor" "Puis lancez : sudo ./install.sh doctor")"
    else
        say "$(t "Interlock runs at this machine; try it with a badge." \
            "Interlock tourne sur cette machine ; essayez-la avec un badge.")"
        say "$(t "If anything is odd, run: sudo ./install.sh doctor" \
            "Si quelque chose est étrange, lancez : sudo ./install.sh doctor")"
    fi
    if is_a_pi && [[ $OVERLAY != on ]] && ! is_overlaid; then
        say "$(t "(A card that is never written lasts longer: --overlay, see docs/install.md.)" \
            "(Une carte jamais écrite dure plus longtemps : --overlay, voir docs/install.fr.md.)")"
    fi
}

say_next_for_hub() {
    say ""
    if [[ $DRY_RUN == yes ]]; then
        say "$(t "That was a rehearsal: nothing was changed." "C'était une répétition : rien n'a été changé.")"
    elif [[ -n $OWNER_LINK ]]; then
        say "$(t "The hub runs at $HUB_URL; open this link within a day, it makes you its owner, once: $OWNER_LINK" \
            "Le hub est en marche à $HUB_URL ; ouvrez ce lien dans la journée, il fait de vous son propriétaire, une fois : $OWNER_LINK")"
        say "$(t "Then add your machines on its pages; each machine's page makes the file for its computer's SD card." \
            "Ensuite ajoutez vos machines dans ses pages ; la page de chacune fait le fichier pour la carte SD de son ordinateur.")"
        if [[ -n $FIRST_ADDRESS && $HUB_URL != *"//$FIRST_ADDRESS"* ]]; then
            say "$(t "(Where a browser does not find that name, this opens the same page: http://$FIRST_ADDRESS:$HUB_PORT${OWNER_LINK#"$HUB_URL"})" \
                "(Là où un navigateur ne trouve pas ce nom, ceci ouvre la même page : http://$FIRST_ADDRESS:$HUB_PORT${OWNER_LINK#"$HUB_URL"})")"
        fi
    else
        say "$(t "The hub runs at $HUB_URL with the lab it had." "Le hub est en marche à $HUB_URL avec le labo qu'il avait.")"
        say "$(t "Log in as before; sudo ./install.sh rollback takes this release back." \
            "Connectez-vous comme avant ; sudo ./install.sh rollback revient à la version précédente.")"
    fi
}
