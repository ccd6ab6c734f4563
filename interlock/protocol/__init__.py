"""What node, sync and hub say to each other: records, snapshots, time, control and HTTP messages."""
