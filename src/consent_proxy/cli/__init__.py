"""The command line: serve, demo, sandbox and the operators' tools."""
