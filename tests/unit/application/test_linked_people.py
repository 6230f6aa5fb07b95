"""No sequence of links and answers leaves a yes standing after a later no: many sequences, in memory."""

from collections.abc import Awaitable
from datetime import datetime, timedelta

from hypothesis import settings

from tests.fakes.clock import FakeClock
from tests.fakes.ledger import FakeConsentLedger
from tests.linked_people import Answer, LinkedPeople


class InMemory(LinkedPeople):
    """On the fake ledger. Its clock stands until time passes, so that much arrives in the same moment."""

    def __init__(self) -> None:
        super().__init__()
        self.clock = FakeClock()

    def ledger(self) -> FakeConsentLedger:
        return FakeConsentLedger(self.clock)

    def wait_for(self, coming: Awaitable[Answer]) -> Answer:
        async def result() -> Answer:
            return await coming

        # Nothing in memory ever waits: the coroutine is at its end after one step.
        try:
            result().send(None)
        except StopIteration as ended:
            answer: Answer = ended.value
            return answer
        raise AssertionError

    def now(self) -> datetime:
        return self.clock.now()

    def pass_time(self) -> None:
        self.clock.advance(timedelta(minutes=7))


InMemory.TestCase.settings = settings(max_examples=100, stateful_step_count=30, deadline=None)
TestLinkedPeople = InMemory.TestCase
