"""The hub: what nodes report and what people decide flow in, pages, bills and signed rights out."""
