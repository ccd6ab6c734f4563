"""One case after another goes through a surface; what came out is counted, and what was new is kept.

In a normal run the cases are few and always the same. A campaign is the same tests, longer:

    INTERLOCK_FUZZ_EXAMPLES=20000 python -m pytest tests/fuzz

It draws other cases each time, keeps in `corpus/SURFACE.txt` every case whose outcome nobody had seen (the next run
begins from them), what failed in `corpus/failures/`, and adds a line about itself to `corpus/ran.txt`.
"""

from __future__ import annotations

import os
import re
import time
import traceback
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path

from hypothesis import HealthCheck, Phase, settings
from hypothesis.database import DirectoryBasedExampleDatabase

from interlock.errors import InterlockError

CORPUS = Path(__file__).with_name("corpus")
CAMPAIGN_EXAMPLES = int(os.environ.get("INTERLOCK_FUZZ_EXAMPLES", "0"))
CASE_CPU_S_MAX = 5.0
"""Of this thread's processor time for one case: a thousand times what any needs, so only a runaway reaches it."""
CASE_BYTES_MAX = 4_096
"""Longer ones are run and counted, but not kept: they differ from a kept one in nothing but length."""

_QUOTED = re.compile(r"'[^']*'|\"[^\"]*\"|[0-9]+|-[0-9]+")


class BreachError(AssertionError):
    """A message did what no message may do."""


def examples(few: int) -> settings:
    """So many cases, always the same ones; in a campaign as many as it asked for, and new ones."""
    quiet = [HealthCheck.too_slow, HealthCheck.data_too_large, HealthCheck.function_scoped_fixture]
    if not CAMPAIGN_EXAMPLES:
        return settings(
            max_examples=few,
            derandomize=True,
            deadline=None,
            suppress_health_check=quiet,
            phases=(Phase.generate,),
        )
    share = max(few, CAMPAIGN_EXAMPLES * few // 100)
    return settings(
        max_examples=share,
        deadline=None,
        suppress_health_check=quiet,
        database=DirectoryBasedExampleDatabase(CORPUS / "failures"),
        phases=(Phase.reuse, Phase.generate),
        print_blob=True,
    )


@dataclass
class Surface:
    """One door that strangers' bytes come through; `run` says in words what became of them.

    `run` raises an InterlockError for what is refused; any other exception is a breach, and so is a case that
    takes the processor for seconds.
    """

    name: str
    run: Callable[[bytes], str]
    seen: dict[str, bytes] = field(default_factory=dict)
    cases: int = 0

    def outcome(self, case: bytes) -> str:
        """What became of `case`, without its particulars. Raises BreachError."""
        self.cases += 1
        began_s = time.thread_time()
        try:
            words = self.run(case)
        except InterlockError as error:
            words = f"{type(error).__name__}: {_plain(error)}"
        except BreachError:
            raise
        except Exception as error:
            raise BreachError(
                f"{self.name}: {type(error).__name__} came out of {case[:300]!r}:\n"
                + "".join(traceback.format_exception(error))
            ) from error
        spent_s = time.thread_time() - began_s
        if spent_s > CASE_CPU_S_MAX:
            raise BreachError(f"{self.name}: {spent_s:.1f} s of processor for {case[:300]!r}")
        if len(case) < len(self.seen.get(words, case + b" ")):
            self.seen[words] = case
        return words

    @property
    def path(self) -> Path:
        """Where its kept cases are."""
        return CORPUS / f"{self.name}.txt"

    def kept(self) -> Iterator[tuple[str, bytes]]:
        """The kept cases, each with its outcome."""
        if not self.path.exists():
            return
        for line in self.path.read_text(encoding="ascii").splitlines():
            words, _, case = line.partition(" | ")
            yield _unescaped(words).decode(), _unescaped(case)

    def keep(self) -> None:
        """In a campaign: what was new stands in the corpus, and what was run in `ran.txt`."""
        if not CAMPAIGN_EXAMPLES:
            return
        known = dict(self.kept())
        fresh = {w: c for w, c in self.seen.items() if w not in known and len(c) <= CASE_BYTES_MAX}
        lines = sorted(
            f"{_escaped(w.encode())} | {_escaped(c)}" for w, c in (known | fresh).items()
        )
        CORPUS.mkdir(exist_ok=True)
        self.path.write_text("\n".join(lines) + "\n", encoding="ascii")
        with (CORPUS / "ran.txt").open("a", encoding="ascii") as ran:
            ran.write(f"{self.name} {self.cases} cases, {len(fresh)} outcomes were new\n")


def _plain(error: InterlockError) -> str:
    """The message without what the case itself put into it."""
    what = error.what.partition(":")[0].partition(", not ")[0]
    return _QUOTED.sub("…", what)[:80]


def _escaped(octets: bytes) -> str:
    return octets.decode("latin-1").encode("unicode_escape").decode("ascii").replace("|", "\\x7c")


def _unescaped(text: str) -> bytes:
    return text.encode("ascii").decode("unicode_escape").encode("latin-1")
