"""The virtual world around a node; nothing but `cli` and tests imports it."""
