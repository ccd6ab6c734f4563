"""Proofs on the real processes: one hub and one machine, and everything that can happen to them."""
