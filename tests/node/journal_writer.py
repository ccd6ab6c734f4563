"""A process that writes journal records until it is killed: a folder in, the id of each durable record out.

Run as `python -m tests.node.journal_writer FOLDER SEED`; every line on stdout is a promise that the test holds it to.
"""

from __future__ import annotations

import random
import sys
from pathlib import Path

from tests.node.journals import boot, ended, opened, progress, started


def main(folder: Path, seed: int) -> None:
    rng = random.Random(seed)
    journal = opened(folder, boot_id=f"boot-{seed}")
    journal.recover(boot().stamp)
    while True:
        drafts = [boot() for _ in range(rng.randrange(1, 4))]
        session = journal.facts.open_session
        if session is None:
            drafts.append(started())
        elif rng.random() < 0.3:
            drafts.append(ended(session.id))
        else:
            drafts.append(progress(session.id, session.enabled_ms + 1_000))
        for record in journal.append(drafts):
            sys.stdout.write(f"{record.id} {record.hash.hex()}\n")
        sys.stdout.flush()
        if rng.random() < 0.05:
            journal.checkpoint()


if __name__ == "__main__":
    main(Path(sys.argv[1]), int(sys.argv[2]))
