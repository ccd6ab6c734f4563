"""Every rule of 2-machine.md in, who proves that its check fires out: a planted bug of a life, or another test.

A life cannot hold everything: a flipped bit, a migration, a day of 200 sessions or an erasure have tests of their own,
in which the fault is in the data or in a planted bug of another harness. A test holds this list to the tests there are.
"""

from __future__ import annotations

RULES = (
    *(f"S{number}" for number in range(1, 14)),
    *(f"D{number}" for number in range(1, 13)),
    *(f"A{number}" for number in range(1, 13)),
)

ELSEWHERE = {
    "D6": ("a store with no room left", "node/test_journal.py", "full_store_refuses_starts"),
    "D7": ("any one bit of a chain flipped", "protocol/test_records.py", "every_flipped_bit"),
    "D8": ("head and facts in two transactions", "disk/test_disk_journal.py", "a_planted_bug"),
    "D9": ("a migration without a transaction", "disk/test_disk_migrations.py", "is_caught"),
    "D10": ("a day with 200 sessions", "node/test_journal_durability.py", "200_sessions"),
    "D12": ("an erased member who is still named", "hub/test_erasure.py", "no_row_of_any_table"),
    "A3": ("a forged list in the spool", "node/test_service.py", "a_forged_snapshot"),
    "A7": ("a flood of badges that nobody knows", "real/test_flood.py", "delays_nobody"),
    "A8": ("a record in another node's name", "hub/test_ingest.py", "in_another_nodes_name"),
    "A9": (
        "a list that the hub did not sign",
        "node/test_snapshot_builder.py",
        "a_refused_snapshot",
    ),
}
"""By rule: the fault, the file under tests/, and words of the test's name."""
