"""The only room that speaks SQL: the ledger, the log, the rules and the embedded server."""
