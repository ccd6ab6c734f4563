"""This checkout in, a release out: the wheel, a tarball that installs without internet, its SBOM and hashes.

    python -m tests.release --out dist                  for computers like this one
    python -m tests.release --out dist --arch aarch64   for a Raspberry Pi

There are two tarballs: a node's alone, small enough for a workshop's line, and one with everything. Each holds the
installer, the units, a wheel of each library for the Pythons of Debian 12 and 13, and a SHA256SUMS that
`install.sh --offline` holds it to. Libraries are those of requirements.lock, byte for byte. Same commit, same bytes.
"""

from __future__ import annotations

import argparse
import gzip
import hashlib
import io
import json
import platform
import re
import shutil
import subprocess
import sys
import tarfile
import tempfile
import uuid
import zipfile
from collections.abc import Iterator
from email.message import Message
from email.parser import Parser
from pathlib import Path
from typing import Any

from interlock import __version__
from tests.tidy import REPOSITORY

PYTHONS = ("3.11", "3.13")
"""Debian 12 and 13."""

GLIBC = (17, 26, 28, 31, 34, 35, 36)
"""What wheels ask for, up to the 2.36 of Debian 12."""

EXTRAS = {"node": "sync,readers", "": "sync,readers,hub"}
"""What a tarball is for, as its name says, and what that needs; without a word it is for everything."""
NODE_BYTES_MAX = 25_000_000
"""8-installation.md: a Pi on a workshop's line has it in a minute or two."""

LOCK = REPOSITORY / "requirements.lock"
MFRC522 = "mfrc522==0.0.7"
"""As install.sh installs it: without its dependencies (docs/decisions/0001), and so not in the lock."""
MFRC522_SHA256 = "874fd0385a7e40190063b60af83d615534b1f764c6b776fed1fcc94551c1e62f"

SHIPPED = ("install.sh", "systemd", "config", "LICENSE", "CHANGELOG.md")
SUMS = "SHA256SUMS"
SPEC = "1.5"
"""Of CycloneDX."""


def main() -> None:
    """What the command line runs."""
    parser = argparse.ArgumentParser(prog="python -m tests.release", description=__doc__)
    parser.add_argument("--out", type=Path, default=REPOSITORY / "dist")
    parser.add_argument("--arch", default=platform.machine(), help="x86_64, aarch64 or armv7l")
    chosen = parser.parse_args()
    for path in build(chosen.out, chosen.arch):
        sys.stdout.write(f"{path.stat().st_size:>12,}  {path}\n")


def build(out: Path, arch: str, pythons: tuple[str, ...] = PYTHONS) -> list[Path]:
    """The files of a release stand in `out`: wheel, tarballs with their SBOMs, SHA256SUMS."""
    out.mkdir(parents=True, exist_ok=True)
    made = []
    with tempfile.TemporaryDirectory(prefix="interlock-release-") as scratch:
        for role in EXTRAS:
            wheels = Path(scratch) / f"wheels-{role}"
            ours = gather(wheels, arch, pythons, role)
            stem = "-".join(filter(None, ("interlock", __version__, role, arch)))
            sbom = out / f"{stem}.cdx.json"
            sbom.write_text(json.dumps(bill_of(wheels), indent=1, ensure_ascii=False) + "\n")
            made += [pack(wheels, sbom, out / f"{stem}.tar.gz"), sbom]
            if role == "node" and made[-2].stat().st_size > NODE_BYTES_MAX:
                raise SystemExit(f"{made[-2]}: more than {NODE_BYTES_MAX:,} bytes; what has grown?")
        made.append(Path(shutil.copyfile(ours, out / ours.name)))
    (out / SUMS).write_text("".join(f"{sha256(path.read_bytes())}  {path.name}\n" for path in made))
    return [*made, out / SUMS]


def wheel_of(checkout: Path, wheels: Path) -> Path:
    """The wheel of `checkout` stands in `wheels`."""
    _pip("wheel", "--no-deps", "--wheel-dir", wheels, checkout)
    (ours,) = wheels.glob("interlock_fablab-*.whl")
    return ours


def gather(wheels: Path, arch: str, pythons: tuple[str, ...] = PYTHONS, role: str = "") -> Path:
    """Our wheel, and in the same folder one of every library for every Python; ours is returned.

    Raises SystemExit: a library is not the one that requirements.lock names.
    """
    ours = wheel_of(REPOSITORY, wheels)
    tags = [f"manylinux_2_{minor}_{arch}" for minor in GLIBC] + [f"manylinux2014_{arch}"]
    only = ["--only-binary=:all:", *(f"--platform={tag}" for tag in tags)]
    locked = lock_of(LOCK.read_text("utf-8"))
    with tempfile.NamedTemporaryFile("w", suffix=".txt") as pins:
        # Without its hashes: pip would want one of our own wheel, and looks at none of them in a constraint.
        pins.write("".join(f"{name}=={version}\n" for name, version in locked))
        pins.flush()
        what = ["--constraint", pins.name, "--dest", wheels, f"{ours}[{EXTRAS[role]}]"]
        for python in pythons:
            _pip("download", *only, f"--python-version={python}", *what)
    _pip("download", "--no-deps", "--only-binary=:all:", "--dest", wheels, MFRC522)
    name, version = MFRC522.split("==")
    require_locked(wheels, locked | {(name, version): {MFRC522_SHA256}}, ours)
    return ours


def lock_of(text: str) -> dict[tuple[str, str], set[str]]:
    """(name, version) of each library of a requirements.lock, and the hashes that its files may have."""
    found = {}
    for block in re.split(r"\n(?=[A-Za-z0-9])", text):
        pin = re.match(r"([A-Za-z0-9][A-Za-z0-9._-]*)==([^\s;]+)", block)
        if pin is not None:
            hashes = set(re.findall(r"--hash=sha256:([0-9a-f]{64})\b", block))
            found[_plain(pin[1]), pin[2]] = hashes
    return found


def require_locked(wheels: Path, locked: dict[tuple[str, str], set[str]], ours: Path) -> None:
    """Return when every wheel but ours is one that the lock names. Raises SystemExit."""
    for wheel in sorted(set(wheels.iterdir()) - {ours}):
        said = metadata_of(wheel)
        name, version = _plain(str(said["Name"])), str(said["Version"])
        if sha256(wheel.read_bytes()) not in locked.get((name, version), set()):
            raise SystemExit(
                f"{wheel.name}: requirements.lock does not have it; its head says how it is made anew"
            )


def pack(wheels: Path, sbom: Path, tarball: Path) -> Path:
    """`tarball` holds what `install.sh --offline` needs, and the hash of each of its files."""
    held = {f"wheels/{path.name}": path for path in sorted(wheels.iterdir())}
    held["sbom.cdx.json"] = sbom
    for name in SHIPPED:
        root = REPOSITORY / name
        found = sorted(p for p in root.rglob("*") if p.is_file()) if root.is_dir() else [root]
        held |= {str(path.relative_to(REPOSITORY)): path for path in found}
    sums = "".join(f"{sha256(path.read_bytes())}  {name}\n" for name, path in held.items())
    top = f"interlock-{__version__}"
    # No time of day anywhere, so that two builds can be compared.
    with (
        tarball.open("wb") as raw,
        gzip.GzipFile("", "wb", fileobj=raw, mtime=0) as packed,
        tarfile.open(fileobj=packed, mode="w", format=tarfile.PAX_FORMAT) as archive,
    ):
        _add(archive, f"{top}/{SUMS}", sums.encode(), 0o644)
        for name, path in held.items():
            mode = 0o755 if path.stat().st_mode & 0o100 else 0o644
            _add(archive, f"{top}/{name}", path.read_bytes(), mode)
    return tarball


def bill_of(wheels: Path) -> dict[str, Any]:
    """The software bill of materials of a folder of wheels, as CycloneDX 1.5 has it."""
    components = [_component(path) for path in sorted(wheels.iterdir())]
    (ours,) = (one for one in components if one["name"] == "interlock-fablab")
    others = [one for one in components if one is not ours]
    # Two wheels of one library, one for each Python, are two components.
    identity = sha256("".join(one["hashes"][0]["content"] for one in components).encode())
    return {
        "bomFormat": "CycloneDX",
        "specVersion": SPEC,
        "serialNumber": f"urn:uuid:{uuid.uuid5(uuid.NAMESPACE_URL, identity)}",
        "version": 1,
        "metadata": {"component": {**ours, "type": "application"}},
        "components": others,
        "dependencies": [
            {"ref": ours["bom-ref"], "dependsOn": [one["bom-ref"] for one in others]},
            *({"ref": one["bom-ref"]} for one in others),
        ],
    }


def _component(wheel: Path) -> dict[str, Any]:
    said = metadata_of(wheel)
    name = _plain(str(said["Name"]))
    licences = _licences(said)
    return {
        "type": "library",
        "bom-ref": wheel.name,
        "name": name,
        "version": str(said["Version"]),
        "purl": f"pkg:pypi/{name}@{said['Version']}?file_name={wheel.name}",
        "hashes": [{"alg": "SHA-256", "content": sha256(wheel.read_bytes())}],
        **({"licenses": licences} if licences else {}),
    }


def metadata_of(wheel: Path) -> Message:
    """What a wheel says of itself."""
    with zipfile.ZipFile(wheel) as archive:
        (name,) = (
            n for n in archive.namelist() if n.endswith(".dist-info/METADATA") and n.count("/") == 1
        )
        return Parser().parse(io.StringIO(archive.read(name).decode()), headersonly=True)


def _plain(name: str) -> str:
    """A library's name as PyPI compares it."""
    return re.sub(r"[-_.]+", "-", name).lower()


def _licences(said: Message) -> list[dict[str, Any]]:
    if said["License-Expression"]:
        return [{"expression": str(said["License-Expression"])}]
    classifiers = [str(one) for one in said.get_all("Classifier") or []]
    named = [one.rsplit(" :: ", 1)[1] for one in classifiers if one.startswith("License :: ")]
    # Some put the whole text of their licence there; its first line names it.
    named = named or [line for line in str(said["License"] or "").splitlines()[:1] if line]
    return [{"license": {"name": name}} for name in named]


def sha256(content: bytes) -> str:
    """The hash as SHA256SUMS has it."""
    return hashlib.sha256(content).hexdigest()


def hashes_in(sums: str) -> Iterator[tuple[str, str]]:
    """(name, hash) of each line of a SHA256SUMS."""
    for line in sums.splitlines():
        content, name = line.split("  ", 1)
        yield name, content


def _add(archive: tarfile.TarFile, name: str, content: bytes, mode: int) -> None:
    entry = tarfile.TarInfo(name)
    entry.size, entry.mode = len(content), mode
    archive.addfile(entry, io.BytesIO(content))


def _pip(*arguments: object) -> None:
    subprocess.run(
        [sys.executable, "-m", "pip", *map(str, arguments), "-qq", "--no-input",
         "--disable-pip-version-check"],
        check=True,
    )  # fmt: skip


if __name__ == "__main__":
    main()
