"""The decision: events in, state and effects out. Pure: no I/O, clock, thread, randomness or logging."""
