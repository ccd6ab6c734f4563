"""Enrolment, health and commands of the machines' computers: addresses go in, pages come out."""
