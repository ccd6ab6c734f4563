"""Interlock: badges in, power out, one honest bill. Access control for the machines of a fab lab."""

__version__ = "0.1.0"
