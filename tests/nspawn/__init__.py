"""A booted Debian with real systemd: what only a whole computer can show of an installation."""
