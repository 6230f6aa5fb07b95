"""A served proxy, stand-ins for the providers, and somebody who said yes."""

import pytest

from tests.live import Live, a_person, apart, live, live_sandbox, own_live, running_live
from tests.postgres import postgres

__all__ = ["apart", "live", "live_sandbox", "own_live", "postgres", "running_live"]


@pytest.fixture
def person(live: Live) -> str:
    """Somebody who said yes; what was asked of the proxy until then is forgotten."""
    name = a_person()
    live.decide(name)
    live.requests.clear()
    return name
