"""The machine's process: pins and badges in, relay, records and answers out. No network."""
