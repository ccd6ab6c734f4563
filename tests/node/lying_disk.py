"""A child that meets a failing flush in, what a power cut would have left of its journal out: strace tells both.

Since 4.13 Linux reports a failed flush once, calls the pages clean and never writes them, while whoever reads
the file still finds them there. The disk of this model keeps what was written before a flush that succeeded;
what was written before one that failed it forgets.
"""

from __future__ import annotations

import contextlib
import os
import re
import subprocess
import sys
from dataclasses import dataclass, field
from pathlib import Path

from interlock.errors import StoreError
from interlock.protocol.records import Record
from tests.node.journals import NOW, boot, opened, progress, started

CALLS = "pwrite64,fdatasync,fsync,ftruncate,unlink,write"
BYTES_MAX = 8_192
"""More than SQLite writes with one call: a page is 4 KiB."""

ABOUT_TO_FAIL = "about to fail"
RETRIES_MAX = 5

_CALL = re.compile(
    r'(\w+)\((?:\d+<(?P<file>[^>]*)>|"(?P<name>[^"]*)")?(?P<rest>.*)\)\s+= (?P<code>-?\d+)'
)
_WRITE = re.compile(r', "(?P<hex>[^"]*)"(?P<cut>\.*), \d+, (?P<offset>\d+)')


@dataclass(slots=True)
class Disk:
    """What is on it, file by file, and what was written since the last flush of each."""

    files: dict[str, bytearray] = field(default_factory=dict)
    dirty: dict[str, list[tuple[int, bytes]]] = field(default_factory=dict)

    def see(self, call: str, file: str, rest: str, code: int) -> None:
        """One call on a file of the journal, as strace spells it."""
        if call == "pwrite64":
            match = _WRITE.match(rest)
            assert match is not None, rest
            assert not match["cut"]
            written = bytes.fromhex(match["hex"].replace("\\x", ""))
            self.dirty.setdefault(file, []).append((int(match["offset"]), written))
        elif call in ("fdatasync", "fsync"):
            writes = self.dirty.pop(file, [])
            for offset, written in writes if code == 0 else []:
                self._put(file, offset, written)
        elif call == "ftruncate":
            del self.files.setdefault(file, bytearray())[int(rest.strip(", ")) :]
        elif call == "unlink":
            self.files.pop(file, None)

    def _put(self, file: str, offset: int, written: bytes) -> None:
        content = self.files.setdefault(file, bytearray())
        content.extend(bytes(max(0, offset - len(content))))
        content[offset : offset + len(written)] = written


def traced(folder: Path, *options: str) -> tuple[list[str], list[str]]:
    """What the child told and what strace wrote down."""
    trace = folder / "trace.txt"
    folder.mkdir()
    strace = ["strace", "-y", "-xx", "-s", str(BYTES_MAX), "-o", str(trace), f"-etrace={CALLS}"]
    done = subprocess.run(
        [*strace, *options, sys.executable, "-m", "tests.node.lying_disk", str(folder)],
        stdout=subprocess.PIPE,
        text=True,
        check=True,
    )
    return done.stdout.splitlines(), trace.read_text("ascii").splitlines()


def flushes_before_the_failure(trace: list[str]) -> int:
    """How many flushes the child had made when it said that the next one is to fail."""
    said = "".join(f"\\x{byte:02x}" for byte in ABOUT_TO_FAIL.encode())
    place = next(number for number, line in enumerate(trace) if said in line)
    return sum(line.startswith("fdatasync") for line in trace[:place])


def after_power_cut(trace: list[str], home: Path) -> None:
    """`home` holds what the disk of this history keeps."""
    disk = Disk()
    for line in trace:
        match = _CALL.match(line)
        path = _text((match["file"] or match["name"] or "") if match else "")
        if match is not None and "journal.db" in path:
            disk.see(match[1], Path(path).name, match["rest"], int(match["code"]))
    home.mkdir()
    for name, content in disk.files.items():
        (home / name).write_bytes(content)


def _text(spelled: str) -> str:
    return bytes.fromhex(spelled.replace("\\x", "")).decode() if "\\x" in spelled else spelled


def main(folder: Path) -> None:
    """One record, one whose flush may fail, and one more; told when they are called durable."""
    journal = opened(folder)
    tell(journal.append([boot()]))
    say(ABOUT_TO_FAIL)
    try:
        tell(journal.append([started()]))
    except StoreError:
        for _ in range(RETRIES_MAX):
            with contextlib.suppress(StoreError):
                tell(journal.reopen(NOW))
                break
    tell(journal.append([progress("1.2", 60_000)]))
    # No end in order: the power is cut here.
    os._exit(0)


def tell(records: list[Record]) -> None:
    for record in records:
        say(record.id)


def say(line: str) -> None:
    sys.stdout.write(f"{line}\n")
    sys.stdout.flush()


if __name__ == "__main__":
    main(Path(sys.argv[1]))
