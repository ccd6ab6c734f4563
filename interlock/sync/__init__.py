"""The network process of a Pi: records to the hub, signed snapshots and time to the node."""
