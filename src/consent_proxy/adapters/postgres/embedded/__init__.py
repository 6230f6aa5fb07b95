"""The Postgres server that comes with the service: found, created, started, adopted and stopped here."""
