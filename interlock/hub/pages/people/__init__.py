"""Imports, the matrix of trainings and the first-run assistant: addresses go in, pages come out."""
