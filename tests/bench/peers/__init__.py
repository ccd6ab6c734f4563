"""Benchmarks beside others: peers that PyPI serves, asked by clients of our own in the same run as our node."""
