"""A seed goes in; whole labs under virtual time come out: real journals, caches, sync and hub, judged by the world."""
