"""The whole service, in this process, for every test of this folder that asks for it."""

from tests.in_process import opened_services, served, served_database, served_sandbox, served_settings
from tests.postgres import postgres

__all__ = ["opened_services", "postgres", "served", "served_database", "served_sandbox", "served_settings"]
