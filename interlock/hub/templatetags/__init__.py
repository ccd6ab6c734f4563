"""The tags and filters the hub's templates load."""
