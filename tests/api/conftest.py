"""One service for the tests of this folder, and one of their own for those that change what everybody shares."""

from tests.live import live, live_sandbox, own_live, running_live
from tests.postgres import postgres

__all__ = ["live", "live_sandbox", "own_live", "postgres", "running_live"]
