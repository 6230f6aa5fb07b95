"""What an auditor checks the log with: read by the service as modules, handed to the auditor as one file."""
