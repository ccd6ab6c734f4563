"""What happens at a machine, as a technician would tell it, played on the core and on real processes."""
