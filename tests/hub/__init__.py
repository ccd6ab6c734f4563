"""The hub's tests: real SQLite in files, real HTTP on loopback, real processes."""
