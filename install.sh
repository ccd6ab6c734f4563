#!/usr/bin/env bash
# Interlock's installer: a checkout goes in, a running demo or a tested commit comes out.
#
# Idempotent: what is already there is left alone. One question at most, of `hub`, and only at a terminal:
# everything works with `</dev/null`. What demo and test make stands in this checkout (.venv, install.log), except the Debian
# packages that are installed when run as root. What a real Pi or server gets is in systemd/install/.

set -Eeuo pipefail

ROOT=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
# Debian's own Python by its full path: another one may come first in PATH, without its packages.
PYTHON=/usr/bin/python3
DEBIAN_PYTHON=/usr/lib/python3/dist-packages
VENV=$ROOT/.venv
LOG=$ROOT/install.log
# Not in requirements.lock: its metadata pulls RPi.GPIO, which breaks a Pi 5 (docs/decisions/0001).
MFRC522=mfrc522==0.0.7
MFRC522_SHA256=874fd0385a7e40190063b60af83d615534b1f764c6b776fed1fcc94551c1e62f
# A stage that takes longer than this hangs: the slowest takes a few minutes on two cores.
STAGE_S_MAX=1800

EXIT_FAULT=1
EXIT_USAGE=2
EXIT_PACKAGES=3

DRY_RUN=no
FORCE=no
UNATTENDED=no
OFFLINE=
FROM=
ADDRESS=
# How people reach the hub: what they type, and what its e-mails carry.
PUBLIC_URL=${INTERLOCK_HUB_URL:-}
# on, off, or as it is.
OVERLAY=
# What this computer is to be called; empty: as it is.
HOSTNAME_WANTED=
# Below which folder a real computer is installed; empty: this computer itself.
TARGET=
case ${LC_ALL:-${LC_MESSAGES:-${LANG:-}}} in
    fr*) UI_LANGUAGE=fr ;;
    *) UI_LANGUAGE=en ;;
esac
# An unpacked release tarball, or what a run of the tests makes: removed at the end.
SCRATCH=
PREPARE=no
TICKER=

usage_english() {
    cat <<'END'
Usage: ./install.sh [OPTION…] COMMAND [ARGUMENT…]

  demo [ARGUMENT…]   a whole lab on this computer: the hub, three machines and their front panels.
                     Prints the address to open; Ctrl-C ends everything. ARGUMENTs go to
                     `interlock demo`, for example --keep.
  test [STAGE…]      install what the tests need and run them all. STAGE: lint, fast, real,
                     browser, root.

On a real Raspberry Pi or server, as root (docs/install.md):

  node               the process at a machine, on its Pi
  hub                the lab's server
  upgrade            this checkout's release (or --offline's) for what is installed here; it has a
                     minute to prove itself, else the release before comes back by itself
  rollback           the release before
  uninstall          everything but configuration and data
  image              make this Pi's card fit to be copied for many machines
  doctor             look at everything, change nothing

  --from FOLDER      node: where node.toml, *.node.json and *.sync.json are, for example a USB stick
  --overlay          node: from the next start on the card is never written, but for the data, which
                     need a partition of their own; --no-overlay: as before
  --url URL          hub: what people type to reach it, like http://hub.lab.example:8080; asked at a
                     terminal, otherwise $INTERLOCK_HUB_URL or this computer's name
  --address NAME     hub: the name or address by which machines reach it; by default its first address
  --hostname NAME    node: what this computer is called in the network
  --offline FILE     use a release tarball instead of the internet
  --unattended       wait until nobody uses the machine, instead of stopping with a message
  --lang fr|en       the language of what is said
  --root FOLDER      rehearse below FOLDER; nothing is started

  --dry-run          say what would be done, change nothing
  --prepare          demo, test: install what is needed and stop; it then works without the internet
  --force            go on where a Debian package seems missing or the computer is unknown
  --help             this text; in French: ./install.sh --lang fr --help

Examples:
  ./install.sh demo
  ./install.sh demo --prepare
  ./install.sh test fast
  ./install.sh --dry-run test
  sudo ./install.sh node --from /media/usb
  sudo ./install.sh upgrade --offline interlock-0.1.0-node-aarch64.tar.gz
  sudo ./install.sh node --overlay

Exit code: 0 done, 1 something failed, 2 wrong command line, 3 Debian packages are missing.
END
}

usage_french() {
    cat <<'END'
Usage : ./install.sh [OPTION…] COMMANDE [ARGUMENT…]

  demo [ARGUMENT…]   tout un labo sur cet ordinateur : le hub, trois machines et leurs façades.
                     Affiche l'adresse à ouvrir ; Ctrl-C arrête tout. Les ARGUMENTs vont à
                     `interlock demo`, par exemple --keep.
  test [STAGE…]      installe ce qu'il faut aux tests et les lance tous. STAGE : lint, fast, real,
                     browser, root.

Sur un vrai Raspberry Pi ou serveur, en root (docs/install.fr.md) :

  node               le processus qui tient une machine, sur son Pi
  hub                le serveur du labo
  upgrade            la version de ce dossier (ou de --offline) pour ce qui est installé ici ; elle a
                     une minute pour faire ses preuves, sinon la précédente revient d'elle-même
  rollback           la version précédente
  uninstall          enlève tout, sauf la configuration et les données
  image              rend la carte de ce Pi bonne à copier pour beaucoup de machines
  doctor             regarde tout, ne change rien

  --from DOSSIER     node : où sont node.toml, *.node.json et *.sync.json, par exemple une clé USB
  --overlay          node : dès le prochain démarrage, la carte n'est plus jamais écrite, sauf les
                     données, qui veulent leur propre partition ; --no-overlay : comme avant
  --url URL          hub : ce qu'on tape pour l'ouvrir, comme http://hub.labo.example:8080 ; demandé
                     à un terminal, sinon $INTERLOCK_HUB_URL ou le nom de cet ordinateur
  --address NOM      hub : le nom ou l'adresse où les machines le joignent ; sinon sa première adresse
  --hostname NOM     node : le nom de cet ordinateur dans le réseau
  --offline FICHIER  prend une archive de version au lieu d'internet
  --unattended       attend que personne n'utilise la machine, au lieu de s'arrêter avec un message
  --lang fr|en       la langue de ce qui est dit
  --root DOSSIER     répète sous DOSSIER ; rien n'est démarré

  --dry-run          dit ce qui serait fait, ne change rien
  --prepare          demo, test : installe ce qu'il faut et s'arrête ; ensuite, internet est inutile
  --force            continue quand un paquet Debian semble manquer ou que l'ordinateur est inconnu
  --help             ce texte ; en français : ./install.sh --lang fr --help

Exemples :
  ./install.sh demo
  ./install.sh --lang fr --dry-run node
  sudo ./install.sh node --from /media/usb
  sudo ./install.sh upgrade --offline interlock-0.1.0-node-aarch64.tar.gz
  sudo ./install.sh node --overlay

Code de sortie : 0 fait, 1 échec, 2 mauvaise ligne de commande, 3 il manque des paquets Debian.
END
}

usage() {
    if [[ $UI_LANGUAGE == fr ]]; then usage_french; else usage_english; fi
}

say() { printf '%s\n' "$*"; }
complain() { printf '%s\n' "$*" >&2; }

# t ENGLISH FRENCH: the one of the two that this person reads.
t() {
    if [[ $UI_LANGUAGE == fr ]]; then printf '%s' "$2"; else printf '%s' "$1"; fi
}

read_help() { t "Read ./install.sh --help." "Lisez ./install.sh --lang fr --help."; }

# ------------------------------------------------------------------------ failing with words

on_error() {
    local code=$1
    stop_ticker
    complain ""
    complain "$(t "install.sh failed while: $STEP (exit code $code)" \
        "install.sh a échoué pendant : $STEP (code $code)")"
    if [[ -s $LOG ]]; then
        complain "$(t "The last lines of $LOG:" "Les dernières lignes de $LOG :")"
        tail -n 15 "$LOG" | sed 's/^/    /' >&2
    fi
    complain "$(t "What to do: $REMEDY" "Que faire : $REMEDY")"
    exit "$EXIT_FAULT"
}
trap 'on_error $?' ERR
trap clean_up EXIT

clean_up() {
    stop_ticker
    if [[ -n $SCRATCH ]]; then rm -rf --one-file-system -- "$SCRATCH"; fi
}

start_ticker() {
    (
        trap - ERR EXIT
        while sleep 5; do printf '.'; done
    ) &
    TICKER=$!
}

stop_ticker() {
    if [[ -n $TICKER ]]; then
        kill "$TICKER" 2>/dev/null || true
        wait "$TICKER" 2>/dev/null || true
        TICKER=
    fi
}

# step WHAT REMEDY COMMAND…: say it, do it quietly into the log, say how long it took.
step() {
    STEP=$1
    REMEDY=$2
    shift 2
    if [[ $DRY_RUN == yes ]]; then
        say "$(t "would do:" "ferait :") $STEP"
        say "          $(printf '%q ' "$@")"
        return
    fi
    printf '%s ' "$STEP"
    local began=$SECONDS
    printf '\n== %s: %s\n' "$(date -Iseconds)" "$*" >>"$LOG"
    start_ticker
    # In a process of its own: what fails in there is told by the trap out here, on the terminal.
    (
        trap - ERR EXIT
        "$@"
    ) >>"$LOG" 2>&1 </dev/null
    stop_ticker
    say " $(t "done" "fait") ($((SECONDS - began)) s)"
}

# ------------------------------------------------------------------------ Debian packages

# Asks for the thing itself, not for the package: it may have come another way.
have() {
    case $1 in
        python3-venv) [[ -x $PYTHON ]] && "$PYTHON" -c 'import ensurepip, venv' 2>/dev/null ;;
        fonts-liberation) compgen -G '/usr/share/fonts/truetype/*/*.ttf' >/dev/null ;;
        libatomic1) [[ $(/sbin/ldconfig -p) == *libatomic.so.1* ]] ;;
        vsmartcard-vpcd) compgen -G '/usr/lib/pcsc/drivers/serial/libifdvpcd.so*' >/dev/null ;;
        python3-pyscard) [[ -d $DEBIAN_PYTHON/smartcard ]] ;;
        python3-apsw) [[ -d $DEBIAN_PYTHON/apsw ]] ;;
        python3-lgpio) [[ -f $DEBIAN_PYTHON/lgpio.py ]] ;;
        python3-spidev) compgen -G "$DEBIAN_PYTHON/spidev*" >/dev/null ;;
        python3-smbus2) [[ -d $DEBIAN_PYTHON/smbus2 ]] ;;
        python3-pil) [[ -d $DEBIAN_PYTHON/PIL ]] ;;
        python3-luma.*) [[ -d $DEBIAN_PYTHON/luma/${1##*.} ]] ;;
        iproute2) [[ -x /usr/sbin/ip || -x /sbin/ip || -x /usr/bin/ip ]] ;;
        pcscd) [[ -x /usr/sbin/pcscd ]] ;;
        nginx-light) [[ -x /usr/sbin/nginx ]] ;;
        libnginx-mod-stream) [[ -f /usr/lib/nginx/modules/ngx_stream_module.so ]] ;;
        systemd-container) command -v systemd-nspawn >/dev/null ;;
        *) command -v "$1" >/dev/null ;;
    esac
}

apt_install() {
    export DEBIAN_FRONTEND=noninteractive
    local install=(apt-get -o DPkg::Lock::Timeout=60 install -y --no-install-recommends "$@")
    # The lists may be fresh, absent or outdated; refresh them only when that is what is wrong.
    "${install[@]}" || { apt-get update && "${install[@]}"; }
}

require_packages() {
    local missing=() name
    for name in "$@"; do
        have "$name" || missing+=("$name")
    done
    if [[ ${#missing[@]} -eq 0 ]]; then
        return
    fi
    if [[ $FORCE == yes ]]; then
        complain "$(t "Going on without: ${missing[*]} (--force)" "On continue sans : ${missing[*]} (--force)")"
    elif ! command -v apt-get >/dev/null; then
        complain "$(t "This computer has no apt. Interlock needs what Debian calls: ${missing[*]}" \
            "Cet ordinateur n'a pas apt. Interlock a besoin de ce que Debian appelle : ${missing[*]}")"
        complain "$(t "Install them your way, then run this again with --force if they are not seen." \
            "Installez-les à votre façon, puis relancez ceci, avec --force si elles ne sont pas vues.")"
        exit "$EXIT_PACKAGES"
    elif [[ $EUID -eq 0 ]]; then
        local remedy
        remedy=$(t "Check the network and /etc/apt/sources.list*, then run this again." \
            "Vérifiez le réseau et /etc/apt/sources.list*, puis relancez ceci.")
        if [[ " ${missing[*]} " == *" python3-lgpio "* ]]; then
            remedy+=$(t " Raspberry Pi OS has python3-lgpio; plain Debian has not." \
                " Raspberry Pi OS a python3-lgpio ; Debian seul ne l'a pas.")
        fi
        step "$(t "Installing Debian packages: ${missing[*]}" "Installation de paquets Debian : ${missing[*]}")" \
            "$remedy" apt_install "${missing[@]}"
    else
        complain "$(t "Debian packages are missing. Run this once, then ./install.sh again:" \
            "Il manque des paquets Debian. Lancez ceci une fois, puis de nouveau ./install.sh :")"
        complain ""
        say "sudo apt-get install -y --no-install-recommends ${missing[*]}"
        if [[ $DRY_RUN == no ]]; then
            exit "$EXIT_PACKAGES"
        fi
    fi
}

# ------------------------------------------------------------------------ the environment

require_writable_checkout() {
    local path
    for path in "$ROOT" "$VENV" "$LOG"; do
        if [[ -e $path && ! -w $path ]]; then
            complain "$(t "$path belongs to somebody else (was install.sh run as root before?)." \
                "$path appartient à quelqu'un d'autre (install.sh a-t-il été lancé en root avant ?).")"
            complain "$(t "What to do:" "Que faire :") sudo chown -R \"\$(id -un)\" \"$ROOT\""
            exit "$EXIT_FAULT"
        fi
    done
}

require_python() {
    STEP=$(t "checking $PYTHON" "examen de $PYTHON")
    REMEDY=$(t "Use Debian 12 or newer, or Raspberry Pi OS Bookworm or newer." \
        "Prenez Debian 12 ou plus récent, ou Raspberry Pi OS Bookworm ou plus récent.")
    if [[ -x $PYTHON ]] && ! "$PYTHON" -c 'import sys; sys.exit(sys.version_info < (3, 11))'; then
        complain "$(t "$PYTHON is $("$PYTHON" -V); Interlock needs Python 3.11 or newer." \
            "$PYTHON est $("$PYTHON" -V) ; Interlock a besoin de Python 3.11 ou plus récent.")"
        complain "$(t "What to do: $REMEDY" "Que faire : $REMEDY")"
        exit "$EXIT_FAULT"
    fi
}

# What the environment must have been made from: when it changes, pip runs again.
fingerprint() {
    {
        "$PYTHON" -V 2>/dev/null || true
        printf '%s\n' "$ROOT" "$MFRC522" "$1"
        cat "$ROOT/pyproject.toml" "$ROOT/requirements.lock"
    } | sha256sum | cut -d' ' -f1
}

environment_works() {
    [[ -x $VENV/bin/python ]] &&
        "$VENV/bin/python" -c 'import pip, sys; sys.exit(sys.prefix == sys.base_prefix)' 2>/dev/null &&
        [[ $("$VENV/bin/python" -V) == $("$PYTHON" -V) ]]
}

# locked WORD…: the lines of requirements.lock for those extras, with the hash of every file that pip may take.
locked() { "$PYTHON" "$ROOT/systemd/install/locked.py" "$@"; }

# install_locked PYTHON EXTRA…: that environment gets byte for byte what requirements.lock names for them, never
# compiled here, and nothing else (--no-deps): what follows from what was settled when the lock was made.
install_locked() {
    local python=$1
    shift
    {
        locked "$@"
        printf '%s --hash=sha256:%s\n' "$MFRC522" "$MFRC522_SHA256"
    } | "$python" -m pip install --quiet --no-input --disable-pip-version-check \
        --no-deps --require-hashes --only-binary :all: --requirement /dev/stdin
}

# require_environment EXTRAS: .venv holds this checkout (editable) with those extras.
require_environment() {
    local extras=$1 stamp=$VENV/.interlock-$1 want words
    # What only the tests need is not locked (requirements.lock says why).
    IFS=, read -ra words <<<"${extras%,dev}"
    require_writable_checkout
    want=$(fingerprint "$extras")
    if environment_works && [[ -f $stamp && $(<"$stamp") == "$want" ]]; then
        return
    fi
    if ! environment_works; then
        step "$(t "Making the Python environment .venv" "Création de l'environnement Python .venv")" \
            "$(t "Delete $VENV and run this again." "Supprimez $VENV et relancez ceci.")" \
            "$PYTHON" -m venv --clear "$VENV"
    fi
    step "$(t "Installing the libraries of requirements.lock [$extras]" \
        "Installation des bibliothèques de requirements.lock [$extras]")" \
        "$(t "Check the network (pip must reach PyPI or your mirror), then run this again." \
            "Vérifiez le réseau (pip doit joindre PyPI ou votre miroir), puis relancez ceci.")" \
        install_locked "$VENV/bin/python" "${words[@]}" build
    local pip=("$VENV/bin/python" -m pip install --quiet --no-input --disable-pip-version-check)
    step "$(t "Installing Interlock itself, as a link to this folder" \
        "Installation d'Interlock lui-même, comme lien vers ce dossier")" \
        "$(t "Delete $VENV and run this again." "Supprimez $VENV et relancez ceci.")" \
        "${pip[@]}" --no-deps --no-build-isolation --editable "$ROOT"
    if [[ $extras == *,dev ]]; then
        step "$(t "Installing what the tests need" "Installation de ce qu'il faut aux tests")" \
            "$(t "Check the network (pip must reach PyPI or your mirror), then run this again." \
                "Vérifiez le réseau (pip doit joindre PyPI ou votre miroir), puis relancez ceci.")" \
            "${pip[@]}" --editable "${ROOT}[$extras]"
    fi
    if [[ $DRY_RUN == no ]]; then
        printf '%s\n' "$want" >"$stamp"
    fi
}

# What Debian compiled and PyPI has no wheel of, seen from .venv without everything else of Debian's.
link_from_debian() {
    local name site
    [[ $DRY_RUN == no ]] || return 0
    site=$("$VENV/bin/python" -c 'import sysconfig; print(sysconfig.get_path("platlib"))')
    for name in "$@"; do
        [[ -e $site/$name ]] || ln -sfn "$DEBIAN_PYTHON/$name" "$site/$name"
    done
}

# ------------------------------------------------------------------------ demo

demo() {
    require_packages python3-venv
    require_python
    require_environment sync,hub
    if [[ $PREPARE == yes ]]; then
        say "$(t "Everything the demo needs is here." "Tout ce qu'il faut à la démo est là.")"
        return
    fi
    if [[ $DRY_RUN == yes ]]; then
        say "$(t "would do: start the demo" "ferait : démarrer la démo")"
        say "          $(printf '%q ' "$VENV/bin/interlock" demo "$@")"
        return
    fi
    exec "$VENV/bin/interlock" demo "$@"
}

# ------------------------------------------------------------------------ test

STAGES=(lint fast real browser root)
# Each test runs in one stage: the most demanding of its markers decides.
declare -A MARKERS=(
    [fast]="fast and not (real or browser or root)"
    [real]="real and not (browser or root)"
    [browser]="browser and not root"
    [root]="root"
)
TIMES=()
PASSED=0
FAILED=0
SKIPPED=0

record() { # WHAT BEGAN RESULT
    TIMES+=("$(printf '%6d s  %-14s %s' $((SECONDS - $2)) "$1" "$3")")
}

# check WHAT COMMAND…: one tool, counted as one test.
check() {
    local what=$1 began=$SECONDS
    shift
    if [[ $DRY_RUN == yes ]]; then
        say "$(t "would run:" "lancerait :") $(printf '%q ' "$@")"
        return
    fi
    say "== $what"
    if timeout --foreground --kill-after=10 "$STAGE_S_MAX" "$@"; then
        PASSED=$((PASSED + 1))
        record "$what" "$began" "$(t passed réussi)"
    else
        FAILED=$((FAILED + 1))
        record "$what" "$began" "$(t FAILED ÉCHEC)"
    fi
}

lint() {
    check "ruff check" "$VENV/bin/ruff" check .
    check "ruff format" "$VENV/bin/ruff" format --check .
    check "mypy" "$VENV/bin/mypy"
    check "shellcheck" shellcheck -x install.sh .ci/run systemd/install/*.sh tests/chroot/*.sh
}

# Adds one pytest run to the totals. Prints nothing; a run without a report counts as one failure.
count() {
    local report=$1 counts
    counts=$("$VENV/bin/python" - "$report" <<'END' || true
import sys
import xml.etree.ElementTree as tree

total = dict.fromkeys(("tests", "failures", "errors", "skipped"), 0)
for suite in tree.parse(sys.argv[1]).iter("testsuite"):
    for key in total:
        total[key] += int(suite.get(key, 0))
bad = total["failures"] + total["errors"]
print(total["tests"] - bad - total["skipped"], bad, total["skipped"])
END
    )
    local passed failed skipped
    read -r passed failed skipped <<<"${counts:-0 1 0}"
    PASSED=$((PASSED + passed))
    FAILED=$((FAILED + failed))
    SKIPPED=$((SKIPPED + skipped))
}

# How many tests of a stage run at once: those of real processes wait more than they work.
workers() {
    local cores
    cores=$(nproc)
    if [[ $1 == real ]]; then
        echo $((cores + 1))
    else
        echo "$cores"
    fi
}

# What is tested is the wheel, as it will be installed, and not this folder: it stands in an environment of its
# own, made anew for each run, that finds the libraries in .venv, and behind them this folder for tests/ alone.
make_wheel_environment() {
    local folder=$REPORTS/venv ours libraries='import sysconfig; print(sysconfig.get_path("purelib"))'
    local pip=("$VENV/bin/python" -m pip --no-input --disable-pip-version-check)
    "$VENV/bin/python" -m venv --without-pip "$folder"
    # The builder is one of the libraries: after --prepare nothing needs the internet.
    "${pip[@]}" wheel --no-deps --no-build-isolation --wheel-dir "$REPORTS" "$ROOT"
    "${pip[@]}" --python "$folder/bin/python" install --no-deps --no-index "$REPORTS"/interlock_fablab-*.whl
    ours=$("$folder/bin/python" -c "$libraries")
    printf 'import site; site.addsitedir("%s")\n' "$("$VENV/bin/python" -c "$libraries")" >"$ours/libraries.pth"
}

tests_begin() {
    STEP=$(t "running the tests" "exécution des tests")
    REMEDY=$(t "Read the messages above." "Lisez les messages ci-dessus.")
}

require_wheel() {
    [[ ! -x $REPORTS/venv/bin/python ]] || return 0
    step "$(t "Installing the wheel that is tested" "Installation du paquet (wheel) qui est testé")" \
        "$(t "The log says what the builder did not find; delete $VENV if it is older than this checkout." \
            "Le journal dit ce qui a manqué à la construction ; supprimez $VENV s'il est plus vieux que ce dossier.")" \
        make_wheel_environment
    tests_begin
}

pytest_stage() {
    local name=$1 code=0 began report
    require_wheel
    began=$SECONDS
    report=$REPORTS/$name.xml
    # Neither Python (PYTHONSAFEPATH) nor pytest may put this folder before the wheel; tests/test_release.py looks.
    local pytest=(env PYTHONSAFEPATH=1 INTERLOCK_TEST_WHEEL=1 "$REPORTS/venv/bin/python" -m pytest -q
        --import-mode=append -m "${MARKERS[$name]}" -rfEsR --junitxml="$report" -o junit_duration_report=call)
    # A wait that did not come true is asked once more, and named at the end; what was wrong is red at once
    # (docs/decisions/0014). Pure tests have nothing to wait for.
    if [[ $name != fast ]]; then
        pytest+=(-p rerunfailures --reruns 1 --reruns-delay 2
            --only-rerun "was not true within" --only-rerun "with timeout [0-9]+ ?ms")
    fi
    if [[ $name != root ]]; then
        pytest+=(-p xdist -n "$(workers "$name")" --dist loadfile --max-worker-restart 0)
    fi
    if [[ $DRY_RUN == yes ]]; then
        say "$(t "would run:" "lancerait :") $(printf '%q ' "${pytest[@]}")"
        return
    fi
    say "== pytest: $name"
    timeout --foreground --kill-after=10 "$STAGE_S_MAX" "${pytest[@]}" </dev/null || code=$?
    case $code in
        0)
            count "$report"
            record "pytest $name" "$began" "$(t passed réussi)"
            ;;
        5) # Nothing collected. Only root tests may be absent: a lost suite must not look green.
            if [[ $name == root ]]; then
                record "pytest $name" "$began" "$(t "no test carries this marker" "aucun test n'a ce marqueur")"
            else
                FAILED=$((FAILED + 1))
                record "pytest $name" "$began" \
                    "$(t "FAILED: no test carries this marker" "ÉCHEC : aucun test n'a ce marqueur")"
            fi
            ;;
        *)
            local before=$FAILED
            count "$report"
            # Killed, crashed or interrupted: the report may say nothing of it.
            if [[ $FAILED -eq $before ]]; then
                FAILED=$((FAILED + 1))
            fi
            record "pytest $name" "$began" "$(t "FAILED (exit code $code)" "ÉCHEC (code $code)")"
            ;;
    esac
}

root_stage() {
    if [[ $EUID -eq 0 || $DRY_RUN == yes ]]; then
        pytest_stage root
        return
    fi
    local names
    names=$("$VENV/bin/python" -m pytest -q -m root --collect-only 2>/dev/null | grep '::' || true)
    if [[ -n $names ]]; then
        NEED_ROOT=$names
        SKIPPED=$((SKIPPED + $(wc -l <<<"$names")))
    fi
    record "pytest root" "$SECONDS" "$(t "not run: not root" "pas lancé : il faut être root")"
}

run_tests() {
    local wanted=("$@") stage
    [[ ${#wanted[@]} -gt 0 ]] || wanted=("${STAGES[@]}")
    for stage in "${wanted[@]}"; do
        if [[ " ${STAGES[*]} " != *" $stage "* ]]; then
            complain "$(t "There is no stage '$stage'. The stages are: ${STAGES[*]}" \
                "Il n'y a pas de stage « $stage ». Il y a : ${STAGES[*]}")"
            exit "$EXIT_USAGE"
        fi
    done
    # Chromium asks for neither: without fonts its pages are measured in a makeshift one, and the
    # driver that Playwright brings is linked with libatomic1.
    # pcscd, its virtual reader and iproute2: PC/SC readers are tested with Debian's own daemon.
    # nginx: config/nginx.conf.example is tested with the real one before a real hub.
    local packages=(python3-venv chromium fonts-liberation libatomic1 git shellcheck strace
        pcscd vsmartcard-vpcd python3-pyscard iproute2 python3-apsw
        nginx-light libnginx-mod-stream)
    # Root's tests boot a Debian (tests/nspawn).
    if [[ $EUID -eq 0 && " ${wanted[*]} " == *" root "* ]]; then
        packages+=(mmdebstrap systemd-container)
    fi
    require_packages "${packages[@]}"
    require_python
    require_environment sync,hub,dev
    link_from_debian smartcard apsw
    if [[ $PREPARE == yes ]]; then
        say "$(t "Everything the tests need is here." "Tout ce qu'il faut aux tests est là.")"
        return
    fi
    tests_begin
    NEED_ROOT=
    cd "$ROOT"
    if [[ $DRY_RUN == no ]]; then
        REPORTS=$(mktemp -d)
        SCRATCH=$REPORTS
        # Tests run some of it as other users.
        chmod 755 "$REPORTS"
    else
        REPORTS=/tmp/REPORTS
    fi
    for stage in "${wanted[@]}"; do
        case $stage in
            lint) lint ;;
            root) root_stage ;;
            *) pytest_stage "$stage" ;;
        esac
    done
    if [[ $DRY_RUN == no ]]; then
        closing_words
    fi
}

closing_words() {
    say ""
    say "$(t "Time per stage:" "Durée de chaque stage :")"
    printf '%s\n' "${TIMES[@]}"
    if [[ -n $NEED_ROOT ]]; then
        say ""
        say "$(t "These tests need root and were left out (sudo ./install.sh test root):" \
            "Ces tests demandent root et n'ont pas été lancés (sudo ./install.sh test root) :")"
        say "$NEED_ROOT"
    fi
    say ""
    say "$(t "$PASSED passed, $FAILED failed, $SKIPPED skipped" \
        "$PASSED réussis, $FAILED en échec, $SKIPPED laissés de côté")"
    if [[ $FAILED -gt 0 ]]; then
        exit "$EXIT_FAULT"
    fi
}

# ------------------------------------------------------------------------ the command line

# A real computer's part of this script; demo and test work without it.
on_a_real_computer() { # FUNCTION
    # shellcheck source=systemd/install/system.sh
    source "$ROOT/systemd/install/system.sh"
    # shellcheck source=systemd/install/release.sh
    source "$ROOT/systemd/install/release.sh"
    # shellcheck source=systemd/install/commands.sh
    source "$ROOT/systemd/install/commands.sh"
    # shellcheck source=systemd/install/overlay.sh
    source "$ROOT/systemd/install/overlay.sh"
    begin
    "$1"
}

# The value of option $1 is $2; nothing is a wrong command line.
value_of() {
    if [[ -z $2 ]]; then
        complain "$(t "$1 needs a value." "$1 veut une valeur.") $(read_help)"
        exit "$EXIT_USAGE"
    fi
    VALUE=$2
}

absolute() {
    if [[ ! -e $2 ]]; then
        complain "$(t "$1: there is no $2." "$1 : $2 n'existe pas.")"
        exit "$EXIT_USAGE"
    fi
    VALUE=$(realpath -- "$2")
}

choose_hostname() {
    if [[ ! $1 =~ ^[a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?$ ]]; then
        complain "$(t "--hostname: up to 63 small letters, digits and hyphens, not '$1'." \
            "--hostname : jusqu'à 63 minuscules sans accent, chiffres et traits d'union, pas « $1 ».")"
        exit "$EXIT_USAGE"
    fi
    HOSTNAME_WANTED=$1
}

choose_language() {
    case $1 in
        fr | en) UI_LANGUAGE=$1 ;;
        *)
            complain "$(t "--lang is fr or en, not '$1'." "--lang est fr ou en, pas « $1 ».")"
            exit "$EXIT_USAGE"
            ;;
    esac
}

# Before anything is complained about.
hear_language() {
    local before='' one
    for one in "$@"; do
        if [[ $before == --lang && ($one == fr || $one == en) ]]; then UI_LANGUAGE=$one; fi
        before=$one
    done
}

main() {
    local rest=()
    hear_language "$@"
    STEP=$(t "reading the command line" "lecture de la ligne de commande")
    REMEDY=$(read_help)
    while [[ $# -gt 0 ]]; do
        case $1 in
            --dry-run) DRY_RUN=yes ;;
            --force) FORCE=yes ;;
            --prepare) PREPARE=yes ;;
            --unattended) UNATTENDED=yes ;;
            --overlay) OVERLAY=on ;;
            --no-overlay) OVERLAY=off ;;
            --offline | --from | --root | --lang | --address | --hostname | --url)
                value_of "$1" "${2:-}"
                case $1 in
                    --address) ADDRESS=$VALUE ;;
                    --url) PUBLIC_URL=$VALUE ;;
                    --hostname) choose_hostname "$VALUE" ;;
                    --lang) choose_language "$VALUE" ;;
                    --offline) absolute "$1" "$2" && OFFLINE=$VALUE ;;
                    --from) absolute "$1" "$2" && FROM=$VALUE ;;
                    --root) absolute "$1" "$2" && TARGET=${VALUE%/} ;;
                esac
                shift
                ;;
            --help | -h)
                usage
                exit 0
                ;;
            *) rest+=("$1") ;;
        esac
        shift
    done
    if [[ ${#rest[@]} -eq 0 ]]; then
        usage >&2
        exit "$EXIT_USAGE"
    fi
    local command=${rest[0]}
    if [[ -n $OVERLAY && $command != node ]]; then
        complain "$(t "--overlay and --no-overlay belong to the command node." \
            "--overlay et --no-overlay vont avec la commande node.")"
        exit "$EXIT_USAGE"
    fi
    case $command in
        demo) demo "${rest[@]:1}" ;;
        test) run_tests "${rest[@]:1}" ;;
        node | hub) on_a_real_computer "install_$command" ;;
        upgrade | rollback | confirm | configure | image | uninstall) on_a_real_computer "$command" ;;
        doctor) on_a_real_computer look ;;
        *)
            complain "$(t "There is no command '$command'." "Il n'y a pas de commande « $command ».") $(read_help)"
            exit "$EXIT_USAGE"
            ;;
    esac
}

main "$@"
