"""Contactless cards as pure protocols: bytes to send flow out, bytes heard flow in, no I/O."""
