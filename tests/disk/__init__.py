"""The simulated disk, and what the node's own code makes of it."""
