"""The whole service for every test of this folder that asks for it."""

from tests.postgres import postgres
from tests.served import served, served_database, served_sandbox, served_settings

__all__ = ["postgres", "served", "served_database", "served_sandbox", "served_settings"]
