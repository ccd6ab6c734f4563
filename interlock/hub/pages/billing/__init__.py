"""Tariffs, periods, statements, passes and accounts: addresses go in, pages come out."""
