"""The tests: what must be true, written as sentences that can be false."""
