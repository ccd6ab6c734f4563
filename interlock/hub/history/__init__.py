"""A lab's past, invented: a seed and sizes go in, years of believable members, use and prices come out.

For the demo (`interlock demo --history`) and for measuring (`interlock hub seed`). What nodes would have
reported is written straight into the tables of sessions, without records: sessions of EPOCH_OF_HISTORY come from
no journal, and whoever checks journals leaves them out.
"""

EPOCH_OF_HISTORY = 0
"""Nodes count their epochs from 1: whatever is of epoch 0 was imported or invented, and has no records."""
