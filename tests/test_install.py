"""install.sh on a small checkout of its own: it makes what is missing, once, and says what failed.

The checkout holds the real install.sh and a stand-in project that needs no network: its build
backend is a file beside it, and two packages from outside come from a folder, with their hashes in a lock of its
own. pip, venv, pytest and bash are real. What only a bare Debian can show is in tests/chroot/prove.sh.
"""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
import zipfile
from pathlib import Path

import pytest

from tests.release import MFRC522_SHA256, sha256
from tests.tidy import REPOSITORY

pytestmark = pytest.mark.real

RUN_S_MAX = 400

PYPROJECT = """\
[build-system]
requires = []
build-backend = "backend"
backend-path = ["."]

[project]
name = "interlock-fablab"
version = "0"

[project.optional-dependencies]
sync = ["brick"]
hub = []
readers = []
build = ["brick"]
dev = []

[tool.pytest.ini_options]
markers = ["fast: f", "real: r", "browser: b", "root: o"]
"""

BACKEND = '''\
"""A build backend that needs nothing: a wheel with the toy, or one that points at this folder and at pytest."""
import os
import zipfile

DIST = "interlock_fablab-0.dist-info"


def build_editable(wheel_directory, config_settings=None, metadata_directory=None):
    return build_wheel(wheel_directory, editable=True)


def build_wheel(wheel_directory, config_settings=None, metadata_directory=None, editable=False):
    name = "interlock_fablab-0-py3-none-any.whl"
    extras = "".join(f"Provides-Extra: {e}\\n" for e in ("sync", "hub", "dev"))
    with zipfile.ZipFile(os.path.join(wheel_directory, name), "w") as wheel:
        if editable:
            wheel.writestr("here.pth", os.getcwd() + "\\n" + os.environ.get("PYTEST_IS_IN", ""))
        else:
            wheel.write("toy.py")
        wheel.writestr(
            f"{DIST}/METADATA",
            f"Metadata-Version: 2.1\\nName: interlock-fablab\\nVersion: 0\\n{extras}",
        )
        wheel.writestr(
            f"{DIST}/WHEEL", "Wheel-Version: 1.0\\nRoot-Is-Purelib: true\\nTag: py3-none-any\\n"
        )
        wheel.writestr(f"{DIST}/entry_points.txt", "[console_scripts]\\ninterlock = toy:main\\n")
        wheel.writestr(f"{DIST}/RECORD", "")
    return name
'''

TOY = """\
import sys


def main():
    print("toy", *sys.argv[1:])
"""

TESTS = """\
import pytest

import toy

@pytest.mark.fast
def test_the_wheel_is_what_is_tested(): assert "site-packages" in toy.__file__, toy.__file__

@pytest.mark.fast
@pytest.mark.real
def test_also_real(): pass

@pytest.mark.real
@pytest.mark.skipif(True, reason="to be counted")
def test_left_out(): pass

@pytest.mark.browser
def test_wrong(): assert False
"""


def make_checkout(parent: Path) -> Path:
    """A fresh checkout with the real install.sh and the stand-in project."""
    folder = parent / "checkout"
    (folder / "tests").mkdir(parents=True)
    shutil.copy(REPOSITORY / "install.sh", folder)
    (folder / "pyproject.toml").write_text(PYPROJECT)
    (folder / "backend.py").write_text(BACKEND)
    (folder / "toy.py").write_text(TOY)
    give_libraries(folder)
    return folder


def give_libraries(checkout: Path) -> None:
    """`links` beside the checkout holds its two packages; its lock and its install.sh name their hashes."""
    links = checkout.parent / "links"
    links.mkdir()
    mfrc522 = make_wheel(links, "mfrc522", "0.0.7", "Requires-Dist: RPi.GPIO\n")
    brick = make_wheel(links, "brick", "1")
    script = checkout / "install.sh"
    said = script.read_text("utf-8")
    assert said.count(MFRC522_SHA256) == 1
    script.write_text(said.replace(MFRC522_SHA256, mfrc522), "utf-8")
    (checkout / "requirements.lock").write_text(
        f"# a lock\nbrick==1 \\\n    --hash=sha256:{brick}\n    # via interlock-fablab (pyproject.toml)\n"
    )
    install = checkout / "systemd/install"
    install.mkdir(parents=True, exist_ok=True)
    shutil.copy(REPOSITORY / "systemd/install/locked.py", install)


def make_wheel(folder: Path, name: str, version: str, more: str = "") -> str:
    """An empty library stands in `folder`; its hash."""
    path = folder / f"{name}-{version}-py3-none-any.whl"
    dist = f"{name}-{version}.dist-info"
    held = {
        "METADATA": f"Metadata-Version: 2.1\nName: {name}\nVersion: {version}\n{more}",
        "WHEEL": "Wheel-Version: 1.0\nRoot-Is-Purelib: true\nTag: py3-none-any\n",
        "RECORD": "",
    }
    with zipfile.ZipFile(path, "w") as wheel:
        for member, text in held.items():
            # Without the time of day: two checkouts of one source are one release.
            wheel.writestr(zipfile.ZipInfo(f"{dist}/{member}"), text)
    return sha256(path.read_bytes())


@pytest.fixture
def checkout(tmp_path: Path) -> Path:
    """A checkout in which nothing was run yet."""
    return make_checkout(tmp_path)


@pytest.fixture(scope="module")
def ready(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A checkout whose environment is made, and whose pytest is ours: for the stages of `test`."""
    folder = make_checkout(tmp_path_factory.mktemp("ready"))
    site = Path(pytest.__file__).parent.parent
    done = install(folder, "--force", "test", "--prepare", PYTEST_IS_IN=str(site))
    assert done.returncode == 0, done.stderr
    return folder


def install(checkout: Path, *arguments: str, **more: str) -> subprocess.CompletedProcess[str]:
    """Run install.sh with no terminal, no network index and no pip settings of this machine."""
    environment = {
        "PATH": os.environ["PATH"],
        "HOME": str(checkout.parent),
        "PIP_CONFIG_FILE": os.devnull,
        "PIP_NO_INDEX": "1",
        "PIP_FIND_LINKS": str(checkout.parent / "links"),
        "PYTEST_DISABLE_PLUGIN_AUTOLOAD": "1",
        "CI": "true",
    }
    return subprocess.run(
        ["./install.sh", *arguments],
        cwd=checkout,
        env=environment | more,
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        timeout=RUN_S_MAX,
        check=False,
    )


def tree(folder: Path) -> dict[str, int]:
    """Every file of `folder` with the moment it was last written."""
    return {
        str(path.relative_to(folder)): path.lstat().st_mtime_ns
        for path in sorted(folder.rglob("*"))
        if "__pycache__" not in path.parts
    }


def test_the_demo_starts_and_the_second_run_makes_nothing_again(checkout: Path) -> None:
    first = install(checkout, "demo", "--keep")
    assert (first.returncode, first.stderr) == (0, "")
    assert first.stdout.endswith("toy demo --keep\n")
    assert "Making the Python environment" in first.stdout
    made = tree(checkout / ".venv")
    assert any("mfrc522-0.0.7.dist-info" in path for path in made)
    assert any("brick-1.dist-info" in path for path in made)
    assert not any("RPi" in path for path in made), "mfrc522 brought RPi.GPIO"

    second = install(checkout, "demo", "--keep")
    assert (second.returncode, second.stdout) == (0, "toy demo --keep\n")
    assert tree(checkout / ".venv") == made

    with (checkout / "pyproject.toml").open("a") as file:
        file.write("# another dependency\n")
    third = install(checkout, "demo")
    assert "Installing the libraries of requirements.lock [sync,hub]" in third.stdout
    assert "Making the Python environment" not in third.stdout


def test_a_library_that_is_not_the_locked_one_byte_for_byte_is_not_installed(
    checkout: Path,
) -> None:
    make_wheel(checkout.parent / "links", "brick", "1", "Summary: another brick\n")
    failed = install(checkout, "demo")
    assert failed.returncode == 1
    assert "failed while: Installing the libraries of requirements.lock" in failed.stderr
    assert "brick" in failed.stderr
    assert "hash" in failed.stderr.lower()
    made = tree(checkout / ".venv")
    assert not any("brick" in path or "mfrc522" in path or "toy" in path for path in made)
    assert not any(".interlock-" in path for path in made), "it is taken for whole"


def test_a_lock_without_a_library_that_is_asked_for_ends_the_installation(checkout: Path) -> None:
    (checkout / "requirements.lock").write_text("# nothing\n")
    failed = install(checkout, "demo")
    assert failed.returncode == 1
    assert "does not have 'brick'" in failed.stderr


def test_a_failure_names_step_log_and_remedy_and_the_next_run_repairs_it(checkout: Path) -> None:
    (checkout / "backend.py").write_text("raise RuntimeError('planted: no space left on device')\n")
    failed = install(checkout, "demo")
    assert failed.returncode == 1
    assert "failed while: Installing Interlock itself" in failed.stderr
    assert "planted: no space left on device" in failed.stderr
    assert f"{checkout}/install.log" in failed.stderr
    assert f"What to do: Delete {checkout}/.venv" in failed.stderr
    assert "toy" not in failed.stdout

    # What it left is half an environment, and here one without pip: both are made good.
    shutil.rmtree(next((checkout / ".venv" / "lib").glob("python3*/site-packages")) / "pip")
    (checkout / "backend.py").write_text(BACKEND)
    again = install(checkout, "demo")
    assert again.returncode == 0, again.stderr
    assert "Making the Python environment" in again.stdout
    assert again.stdout.endswith("toy demo\n")


@pytest.mark.parametrize("command", [["demo"], ["test"], ["--help"], ["demo", "--help"]])
def test_looking_changes_nothing(checkout: Path, command: list[str]) -> None:
    before = tree(checkout.parent)
    looked = install(checkout, "--dry-run", *command)
    assert looked.returncode == 0, looked.stderr
    assert tree(checkout.parent) == before
    if "--help" not in command:
        assert "would do: Making the Python environment .venv" in looked.stdout


def test_the_help_names_the_same_commands_and_options_in_both_languages(checkout: Path) -> None:
    said = [install(checkout, "--lang", one, "--help").stdout for one in ("en", "fr")]
    assert ("Usage : " in said[0], "Usage : " in said[1]) == (False, True)
    words = [re.findall(r"^  (--[a-z-]+|[a-z]+) ", one, re.MULTILINE) for one in said]
    assert words[0] == words[1]
    assert len(words[0]) >= 20
    for one in said:
        assert max(map(len, one.splitlines())) <= 104


def test_a_rehearsal_in_french_has_no_english_verb(checkout: Path) -> None:
    told = install(checkout, "--lang", "fr", "--dry-run", "demo")
    assert "ferait : " in told.stdout
    assert "would" not in told.stdout


def run_stages(ready: Path, tests: str, *stages: str) -> subprocess.CompletedProcess[str]:
    """`install.sh test STAGES` over the one test file `tests`."""
    (ready / "tests" / "test_toy.py").write_text(tests)
    return install(ready, "--force", "test", *stages)


def test_the_totals_of_all_stages_close_the_run_and_a_failure_fails_it(ready: Path) -> None:
    ran = run_stages(ready, TESTS, "fast", "real", "browser", "root")
    assert ran.returncode == 1
    assert ran.stdout.endswith("\n\n2 passed, 1 failed, 1 skipped\n"), ran.stdout
    words = [line.split(" s  ", 1)[1].split() for line in ran.stdout.splitlines() if " s  " in line]
    assert words == [
        ["pytest", "fast", "passed"],
        ["pytest", "real", "passed"],
        ["pytest", "browser", "FAILED", "(exit", "code", "1)"],
        ["pytest", "root", "no", "test", "carries", "this", "marker"],
    ]

    green = run_stages(ready, TESTS, "fast", "real")
    assert green.returncode == 0
    assert green.stdout.endswith("\n\n2 passed, 0 failed, 1 skipped\n")


def test_a_suite_that_lost_its_tests_is_not_green(ready: Path) -> None:
    ran = run_stages(ready, "", "fast", "root")
    assert ran.returncode == 1
    assert "FAILED: no test carries this marker" in ran.stdout
    assert ran.stdout.endswith("\n\n0 passed, 1 failed, 0 skipped\n")


def test_a_run_that_dies_before_its_report_counts_as_a_failure(ready: Path) -> None:
    # The whole run, not only the process of this test.
    dies = "import os, pytest\n@pytest.mark.fast\ndef test_dies(): os.kill(os.getppid(), 9)\n"
    ran = run_stages(ready, dies, "fast")
    assert ran.returncode == 1
    assert ran.stdout.endswith("\n\n0 passed, 1 failed, 0 skipped\n")


def test_a_tool_that_finds_fault_fails_the_run(ready: Path) -> None:
    for tool, code in (("ruff", 0), ("mypy", 7)):
        path = ready / ".venv" / "bin" / tool
        path.write_text(f"#!/bin/sh\nexit {code}\n")
        path.chmod(0o755)
    tools = ready.parent / "bin"
    tools.mkdir()
    (tools / "shellcheck").symlink_to("/bin/true")
    ran = install(ready, "--force", "test", "lint", PATH=f"{tools}:{os.environ['PATH']}")
    assert ran.returncode == 1
    assert ran.stdout.endswith("\n\n3 passed, 1 failed, 0 skipped\n"), ran.stdout


@pytest.mark.parametrize(
    "arguments",
    [
        [],
        ["fly"],
        ["test", "slow"],
        ["node", "--lang", "de"],
        ["node", "--root", "/nowhere"],
        ["node", "--hostname", "my saw; reboot"],
        ["upgrade", "--overlay"],
    ],
)
def test_a_wrong_command_line_is_exit_2_with_what_there_is(
    checkout: Path, arguments: list[str]
) -> None:
    told = install(checkout, *arguments)
    assert told.returncode == 2
    words = (
        "--help",
        "The stages are: lint fast",
        "--lang is fr or en",
        "--root: there is no /nowhere",
        "--hostname: up to 63 small letters",
        "belong to the command node",
    )
    assert any(word in told.stderr for word in words)


@pytest.mark.root
def test_a_normal_user_without_packages_gets_one_apt_command_and_exit_3(checkout: Path) -> None:
    tools = checkout.parent / "bin"
    tools.mkdir()
    for name in ("bash", "dirname", "git", "apt-get", "env", "sha256sum", "cut", "cat"):
        (tools / name).symlink_to(shutil.which(name) or f"/usr/bin/{name}")
    # The folders of pytest are closed to other users; the checkout must be reachable for nobody.
    for folder in (checkout, *checkout.parents):
        if folder == Path("/tmp"):
            break
        folder.chmod(0o755)
    told = subprocess.run(
        ["setpriv", "--reuid=65534", "--regid=65534", "--clear-groups", "./install.sh", "test"],
        cwd=checkout,
        env={"PATH": f"{tools}:/nowhere"},
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        timeout=RUN_S_MAX,
        check=False,
        executable=shutil.which("setpriv"),
    )
    assert told.returncode == 3, told.stderr
    lines = [line for line in told.stdout.splitlines() if line]
    assert lines == ["sudo apt-get install -y --no-install-recommends chromium shellcheck strace"]
    assert not (checkout / ".venv").exists()


def test_a_test_without_a_stage_is_refused(tmp_path: Path) -> None:
    (tmp_path / "test_homeless.py").write_text("def test_nothing(): pass\n")
    ran = subprocess.run(
        [sys.executable, "-m", "pytest", "-p", "tests.conftest", "-c", "pyproject.toml",
         "-p", "no:cacheprovider", str(tmp_path)],
        cwd=REPOSITORY,
        capture_output=True,
        text=True,
        timeout=RUN_S_MAX,
        check=False,
    )  # fmt: skip
    assert ran.returncode == 4
    assert "no stage would run these" in ran.stdout + ran.stderr
    assert "test_homeless.py::test_nothing" in ran.stdout + ran.stderr
