"""The desk's tests: cards taken away at every moment, a real hub, and words in two languages."""
