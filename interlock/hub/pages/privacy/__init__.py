"""Erasure, exports and the audit log: addresses go in, pages come out."""
