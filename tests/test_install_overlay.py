"""A card that is never written: what `install.sh node --overlay` refuses, switches on, and switches off again."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest

from tests.test_install_pi import CMDLINE_TXT, DATA_PARTITION, Pi

pytestmark = pytest.mark.real


@pytest.fixture(scope="module")
def machine(tmp_path_factory: pytest.TempPathFactory) -> Pi:
    """A machine's Pi whose data have a partition of their own."""
    made = Pi(tmp_path_factory.mktemp("machine"))
    with (made.root / "etc/fstab").open("a") as fstab:
        fstab.write(DATA_PARTITION)
    done = made.install("node", "--from", made.give_configuration())
    assert done.returncode == 0, done.stdout + done.stderr
    return made


@pytest.fixture
def fit(machine: Pi, tmp_path: Path) -> Pi:
    """A copy of it, with stubs of its own."""
    copy = Pi(tmp_path)
    shutil.rmtree(copy.root)
    shutil.copytree(machine.root, copy.root, symlinks=True)
    return copy


def test_an_overlay_spares_the_data_s_partition_and_goes_again(fit: Pi) -> None:
    words = fit.root / "boot/firmware/cmdline.txt"
    dry = fit.install("node", "--overlay", "--dry-run")
    assert "would do: Switching the overlay on" in dry.stdout
    assert words.read_text() == CMDLINE_TXT
    done = fit.install("node", "--overlay")
    assert done.returncode == 0, done.stderr
    assert "restart it now: sudo reboot" in done.stdout
    assert words.read_text() == f"overlayroot=tmpfs:recurse=0 {CMDLINE_TXT}"
    before = fit.tree()
    fit.told()
    assert fit.install("node", "--overlay").returncode == 0
    assert fit.tree() == before
    assert fit.told() == ["raspi-config nonint get_spi"]
    assert fit.install("node", "--no-overlay").returncode == 0
    assert words.read_text() == CMDLINE_TXT


@pytest.mark.parametrize(
    ("what", "said"),
    [
        ("fstab", "every session would be lost at a power cut. Nothing was changed."),
        ("sync.json", "is not a machine's node yet"),
        ("cmdline.txt", "no raspi-config or no cmdline.txt"),
    ],
)
def test_an_overlay_that_would_lose_something_is_refused_before_anything_happens(
    fit: Pi, what: str, said: str
) -> None:
    (path,) = (p for p in fit.root.rglob(what) if "config" not in p.parts)
    path.unlink()
    before = fit.tree()
    told = fit.install("node", "--overlay")
    assert (told.returncode, told.stdout) == (1, "")
    assert said in told.stderr
    assert "What to do: " in told.stderr
    assert fit.tree() == before


def test_under_an_overlay_only_its_end_is_begun(fit: Pi) -> None:
    words, now = fit.root / "boot/firmware/cmdline.txt", fit.root / "proc/cmdline"
    now.parent.mkdir()
    for one in (words, now):
        one.write_text(f"overlayroot=tmpfs:recurse=0 {CMDLINE_TXT}")
    before = fit.tree()
    for command in ("node", "upgrade", "rollback", "uninstall", "image", "configure"):
        told = fit.install(command)
        assert (told.returncode, told.stdout) == (1, ""), command
        assert "what is changed now is gone at the next start" in told.stderr
    assert fit.tree() == before
    ended = fit.install("node", "--no-overlay")
    assert ended.returncode == 0
    assert ended.stdout == "The card keeps what is written again after: sudo reboot\n"
    assert words.read_text() == CMDLINE_TXT


def test_doctor_finds_an_overlay_that_forgets_the_data(fit: Pi) -> None:
    (fit.root / "proc").mkdir()
    (fit.root / "proc/cmdline").write_text(f"overlayroot=tmpfs {CMDLINE_TXT}")
    told = fit.install("doctor", "--lang", "fr")
    assert told.returncode == 1
    assert "est perdue à une coupure de courant" in told.stderr
    (fit.root / "proc/cmdline").write_text(f"overlayroot=tmpfs:recurse=0 {CMDLINE_TXT}")
    assert fit.install("doctor").returncode == 0
