"""What `python -m tests.release` makes: a wheel that is whole, a tarball that is held to its hashes, a true SBOM.

Libraries are stand-ins of a few bytes, so that no network is needed; tests/nspawn installs from a tarball with
the real ones.
"""

from __future__ import annotations

import os
import subprocess
import sys
import tarfile
import zipfile
from pathlib import Path

import pytest

import interlock
from tests.release import bill_of, hashes_in, lock_of, pack, require_locked, sha256, wheel_of
from tests.test_install import install
from tests.test_install_pi import Pi
from tests.tidy import REPOSITORY

pytestmark = pytest.mark.real

LICENCES = {
    "plain": "License-Expression: MIT",
    "old.style": "Classifier: License :: OSI Approved :: BSD License",
    "wordy": "License: Permission is granted",
    "silent": "Summary: says nothing of its licence",
}


@pytest.fixture(scope="module")
def wheel(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return wheel_of(REPOSITORY, tmp_path_factory.mktemp("wheel"))


def put_wheel(folder: Path, name: str, line: str, version: str = "1") -> Path:
    """A wheel called `name` whose METADATA has `line`, and a vendored one that says otherwise."""
    folder.mkdir(exist_ok=True)
    stem = name.replace("-", "_").replace(".", "_")
    path = folder / f"{stem}-{version}-py3-none-any.whl"
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr(f"{stem}/_vendor/x-9.dist-info/METADATA", "Name: x\nVersion: 9\n")
        archive.writestr(
            f"{stem}-{version}.dist-info/METADATA", f"Name: {name}\nVersion: {version}\n{line}\n"
        )
    return path


@pytest.mark.skipif(
    "INTERLOCK_TEST_WHEEL" not in os.environ,
    reason="a developer's pytest tests the folder; install.sh test tests the wheel",
)
def test_the_suite_tests_the_wheel_and_takes_only_its_tests_from_this_folder() -> None:
    here = Path(interlock.__file__)
    assert here.parent.parent.name == "site-packages"
    assert REPOSITORY not in here.parents
    assert Path(__file__).is_relative_to(REPOSITORY)
    # `-m` would put the folder one stands in before everything else.
    seen = subprocess.run(
        [sys.executable, "-m", "inspect", "--details", "interlock"],
        cwd=REPOSITORY, capture_output=True, text=True, check=True,
    )  # fmt: skip
    assert f"Origin: {here}\n" in seen.stdout


def test_the_wheel_holds_every_file_of_the_package(wheel: Path) -> None:
    listed = subprocess.run(
        ["git", "ls-files", "interlock"], cwd=REPOSITORY, capture_output=True, text=True, check=True
    ).stdout.split()
    held = set(zipfile.ZipFile(wheel).namelist())
    assert {name for name in listed if (REPOSITORY / name).exists()} - held == set()
    assert not [name for name in held if name.startswith(("tests/", "docs/"))]


def test_two_builds_of_one_checkout_are_the_same_bytes(wheel: Path, tmp_path: Path) -> None:
    again = wheel_of(REPOSITORY, tmp_path)
    assert sha256(again.read_bytes()) == sha256(wheel.read_bytes())
    bill = tmp_path / "bill.json"
    bill.write_text("{}")
    packed = [
        pack(wheel.parent, bill, tmp_path / name).read_bytes() for name in ("a.tar.gz", "b.tar.gz")
    ]
    assert packed[0] == packed[1]


def test_the_bill_names_each_wheel_with_its_hash_and_licence(tmp_path: Path) -> None:
    wheels = [put_wheel(tmp_path, "interlock-fablab", "License-Expression: MIT")]
    wheels += [put_wheel(tmp_path, name, line) for name, line in LICENCES.items()]
    bill = bill_of(tmp_path)
    assert (bill["bomFormat"], bill["specVersion"]) == ("CycloneDX", "1.5")
    assert bill["metadata"]["component"]["name"] == "interlock-fablab"
    found = {one["name"]: one.get("licenses") for one in bill["components"]}
    assert found == {
        "plain": [{"expression": "MIT"}],
        "old-style": [{"license": {"name": "BSD License"}}],
        "wordy": [{"license": {"name": "Permission is granted"}}],
        "silent": None,
    }
    hashes = {one["bom-ref"]: one["hashes"][0]["content"] for one in bill["components"]}
    assert hashes == {path.name: sha256(path.read_bytes()) for path in wheels[1:]}
    (ours, *_) = bill["dependencies"]
    assert sorted(ours["dependsOn"]) == sorted(hashes)


def test_a_library_that_is_not_the_locked_one_byte_for_byte_ends_the_build(tmp_path: Path) -> None:
    ours = put_wheel(tmp_path, "interlock-fablab", "License-Expression: MIT")
    good = put_wheel(tmp_path, "old.style", "License-Expression: MIT")
    digest = sha256(good.read_bytes())
    lock = f"# a head\nOld_Style==1 ; python_version < '9' \\\n    --hash=sha256:{digest}\n    # via us\n"
    assert lock_of(lock) == {("old-style", "1"): {digest}}
    require_locked(tmp_path, lock_of(lock), ours)
    other = lock_of(lock.replace(digest, "0" * 64))
    for wrong in (other, lock_of(lock.replace("==1", "==2")), {}):
        with pytest.raises(SystemExit, match="does not have it"):
            require_locked(tmp_path, wrong, ours)


def test_a_hub_is_not_begun_with_a_node_s_tarball(tmp_path: Path) -> None:
    pi = Pi(tmp_path / "here")
    put_wheel(tmp_path / "wheels", "interlock-fablab", "License-Expression: MIT")
    bill = tmp_path / "bill.json"
    bill.write_text("{}")
    node_s = pack(tmp_path / "wheels", bill, tmp_path / "interlock-1-node.tar.gz")
    before = pi.tree()
    told = install(pi.checkout, "--root", str(pi.root), "--offline", str(node_s), "hub")
    assert told.returncode == 1
    assert f"{node_s} is for a machine's computer alone" in told.stderr
    assert "What to do: use the release's tarball without -node-" in told.stderr
    assert {name: seen for name, seen in pi.tree().items() if name in before} == before
    assert not (pi.root / "opt").exists()


def test_the_tarball_names_the_hash_of_every_file_and_holds_the_installer(tmp_path: Path) -> None:
    put_wheel(tmp_path / "wheels", "interlock-fablab", "License-Expression: MIT")
    bill = tmp_path / "bill.json"
    bill.write_text("{}")
    with tarfile.open(pack(tmp_path / "wheels", bill, tmp_path / "r.tar.gz")) as archive:
        files = {m.name.split("/", 1)[1]: (m, archive.extractfile(m)) for m in archive.getmembers()}
        held = {name: file.read() for name, (_, file) in files.items() if file is not None}
    sums = held.pop("SHA256SUMS").decode()
    assert dict(hashes_in(sums)) == {name: sha256(content) for name, content in held.items()}
    assert files["install.sh"][0].mode == 0o755
    assert {"systemd/interlock-node.service", "systemd/install/release.sh", "LICENSE"} <= set(held)


def test_a_tarball_that_was_changed_is_refused_before_anything_happens(tmp_path: Path) -> None:
    pi = Pi(tmp_path / "here")
    put_wheel(tmp_path / "wheels", "interlock-fablab", "License-Expression: MIT")
    bill = tmp_path / "bill.json"
    bill.write_text("{}")
    whole = pack(tmp_path / "wheels", bill, tmp_path / "whole.tar.gz")
    subprocess.run(["tar", "-C", tmp_path, "-xf", whole], check=True)
    (folder,) = tmp_path.glob("interlock-*")
    with next((folder / "wheels").iterdir()).open("ab") as changed:
        changed.write(b"!")
    bad = tmp_path / "bad.tar.gz"
    with tarfile.open(bad, "w:gz") as archive:
        archive.add(folder, folder.name)
    before = pi.tree()
    told = install(pi.checkout, "--root", str(pi.root), "--offline", str(bad), "node")
    assert told.returncode == 1
    assert "failed while: checking the release's hashes" in told.stderr
    assert "What to do: Download the file again" in told.stderr
    after = {name: seen for name, seen in pi.tree().items() if name in before}
    assert after == before
    assert not (pi.root / "opt").exists()
