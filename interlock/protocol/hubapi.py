"""The hub's HTTP interface for nodes: paths, limits and the shape of each message.

Every request carries `Authorization: Bearer CREDENTIAL`; the hub knows the node by its SHA-256.

    POST hello      {v, software, boot_id, head, version, nonce, mode}  → {v, head, time, version}
                    `head` in the answer is the hub's own: sync goes on behind it, so a restored hub is healed
    POST records    {v, records: […]}                                   → {v, head, set_aside: [{epoch, seq, why}]}
    GET  changes    ?since=EPOCH.COUNTER[&wait=S][&has=EPOCH.COUNTER]   → as soon as there is news, else 204:
                    the signed delta from `since` (protocol/deltas.py), or {v, version, commands}: version null or
                    of a list to fetch whole; `has` is what the node decides by, which confirms it
    GET  snapshot                                                       → the signed file (protocol/snapshots.py)
    POST interlocks {v, own: {name: closed}, wanted: ["node/name"], boot_id, boot_ms}
                                                    → {v, interlocks: {"node/name": closed}, ages_ms: {"node/name": ms}}
                    closed: true, false, or null: unknown, also when that node was silent for 90 s; `ages_ms` by the
                    same names: how long ago it said so. `boot_id` and `boot_ms` are when the levels were so: a
                    request that arrives behind a later one of the same boot changes nothing
    POST commands   {v, number, done, answer}                           → {v}; what became of a command

`hello` says also `digest` (of the entries the node decides by, hexadecimal or null: not counted yet) and `refused`
(why it did not take the last list, or null); its answer brings `commands` too, for whom the long poll does not reach.

401: no such credential, or revoked. 409: {v, error, message, time, version}: the node's chain is not the one
the hub holds; signed time and snapshots are served all the same.
"""

from __future__ import annotations

VERSION = 1

PATH_HELLO = "/node/v1/hello"
PATH_RECORDS = "/node/v1/records"
PATH_CHANGES = "/node/v1/changes"
PATH_SNAPSHOT = "/node/v1/snapshot"
PATH_INTERLOCKS = "/node/v1/interlocks"
PATH_COMMANDS = "/node/v1/commands"

DELTA_TYPE = "application/x-interlock-delta"
COMMANDS_MAX = 16
"""That may wait for one node: more are refused at the hub, so that an answer stays small."""
ANSWER_LENGTH_MAX = 16_384
"""Of what a node says to a command: its diagnosis is the longest."""

BATCH_RECORDS_MAX = 100
"""One request, one transaction: about 100 KiB, a few milliseconds of the hub's single writer."""

BATCH_BYTES_MAX = 1_048_576
"""100 records of the largest size fit; anything bigger is not from a node."""

INTERLOCKS_MAX = 64
"""Of one machine, its own or another's: it has a handful."""

WAIT_S_MAX = 55
"""Shorter than the 60 s after which proxies cut a silent connection."""

SNAPSHOT_BYTES_MAX = 268_435_456
"""250,000 entries of 1 KiB: the cap sync applies while it downloads."""
