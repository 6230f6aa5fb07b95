"""A service of the README's own: its reader's first."""

from tests.live import live_sandbox
from tests.postgres import postgres

__all__ = ["live_sandbox", "postgres"]
