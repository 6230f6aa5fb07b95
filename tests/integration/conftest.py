"""Real Postgres for every test of this folder that asks for it."""

from tests.postgres import any_ledger_database, ledger_database, postgres, postgres_15

__all__ = ["any_ledger_database", "ledger_database", "postgres", "postgres_15"]
