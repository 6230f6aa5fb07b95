"""One service for the tests of this folder, and one of their own for those that change what everybody shares."""

from tests.live import apart, live, live_sandbox, own_live, running_live, unpublished
from tests.postgres import postgres

__all__ = ["apart", "live", "live_sandbox", "own_live", "postgres", "running_live", "unpublished"]
