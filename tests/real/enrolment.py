"""A hub over HTTPS and the computers that enrol there: real processes, and a person's clicks."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

from interlock.sync.enrolling import Files
from tests.hub.process import HubFolder
from tests.waiting import wait_until

DEADLINE_S = 60.0


class Manager:
    """Whoever sits at the hub's page, as a process of its own that works on the hub's database."""

    def __init__(self, hub: HubFolder) -> None:
        self._process = subprocess.Popen(
            [sys.executable, "-m", "tests.real.manager_main", str(hub.path)],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )

    def code(
        self, url: str, machine: str = "saw", kind: str = "code", host: str = "127.0.0.1"
    ) -> str:
        """A fresh code for a computer at `machine` that will find the hub at the port of `url`."""
        return str(self.ask("open", machine, kind, host, int(url.rsplit(":", 1)[1])))

    def words(self, machine: str = "saw") -> str:
        """What the page shows."""
        return str(self.ask("words", machine))

    def nodes(self, machine: str = "saw") -> list[tuple[str, int, bool]]:
        """Name, epoch and whether it counts, of every node the machine ever had."""
        return [(slug, epoch, counts) for slug, epoch, counts in self.ask("nodes", machine)]

    def ask(self, *command: Any) -> Any:
        """Do one of manager_main's deeds."""
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        self._process.stdin.write(json.dumps(command) + "\n")
        self._process.stdin.flush()
        answer = self._process.stdout.readline()
        assert answer, f"{command} failed"
        return json.loads(answer)

    def leave(self) -> None:
        """The process has ended."""
        self._process.communicate(timeout=DEADLINE_S)


class Computer:
    """`interlock node enrol` as a process, in a folder of its own."""

    def __init__(self, folder: Path) -> None:
        folder.mkdir(parents=True, exist_ok=True)
        self.folder = folder
        self.files = Files.beside(folder / "node.json", folder / "sync.json")
        self._process: subprocess.Popen[bytes] | None = None

    def begin(self, *arguments: str) -> None:
        """The command runs."""
        where = ("--keys", str(self.files.keys), "--access", str(self.files.access))
        command = [sys.executable, "-W", "error", "-m", "interlock", "node", "enrol"]
        with (self.folder / "out").open("w") as out, (self.folder / "err").open("w") as err:
            self._process = subprocess.Popen(
                [*command, *where, *arguments],
                stdin=subprocess.DEVNULL,
                stdout=out,
                stderr=err,
            )

    def words(self) -> str:
        """The six words, as soon as they stand on its screen."""
        return wait_until(self._first_line, DEADLINE_S, "six words on the screen")

    def end(self) -> int:
        """The exit code, once it ends by itself."""
        assert self._process is not None
        return self._process.wait(DEADLINE_S)

    def kill(self) -> None:
        """SIGKILL; harmless when it has ended."""
        if self._process is not None:
            self._process.kill()
            self._process.wait(DEADLINE_S)

    @property
    def said(self) -> str:
        """Everything on its screen."""
        return "".join(
            (self.folder / name).read_text(encoding="utf-8")
            for name in ("out", "err")
            if (self.folder / name).exists()
        )

    @property
    def secrets(self) -> list[str]:
        """Names of the secret files it has written."""
        return sorted(path.name for path in self.folder.glob("*.json*"))

    def _first_line(self) -> str:
        whole, newline, _ = (self.folder / "out").read_text(encoding="utf-8").partition("\n")
        if not newline and self._process is not None and self._process.poll() is not None:
            raise AssertionError(f"it ended without words: {self.said}")
        return whole if newline else ""
