"""What the service does: one verb a module, against the ports it needs."""
