"""A service of the README's own: its reader's first."""

from tests.live import apart, live_sandbox
from tests.postgres import postgres

__all__ = ["apart", "live_sandbox", "postgres"]
