"""A state machine of people with several identifiers and devices: links, answers, offline queues, wrong clocks.

What it holds a ledger to it remembers itself, event by event: it never asks the ledger what the order of answers is.
"""

from collections.abc import Awaitable
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import TypeVar

from hypothesis import strategies as st
from hypothesis.stateful import Bundle as Queue
from hypothesis.stateful import RuleBasedStateMachine, consumes, initialize, invariant, precondition, rule

from consent_proxy.application.ports.consent import ConsentLedger, PurposeAnswer, RecordedEvent
from consent_proxy.application.ports.pages import Page
from consent_proxy.domain.categories import Purpose
from consent_proxy.domain.consent import ConsentState, RecipientStanding, TimeNotAllowed
from consent_proxy.domain.links import Carry
from consent_proxy.domain.subjects import SubjectRef
from tests.conformance.samples import decision, link, new_ref, no, withdrawal, yes

Answer = TypeVar("Answer")

RECIPIENTS = ("fal", "replicate")
HOUR = timedelta(hours=1)
NOES = {ConsentState.DECLINED, ConsentState.WITHDRAWN}
#: How far a device's clock is off, and how long an answer lay in its queue.
clocks = st.sampled_from([timedelta(0), -HOUR, HOUR, timedelta(minutes=4), timedelta(seconds=-1)])
recipients = st.sampled_from([None, frozenset({"fal"}), frozenset({"replicate"})])
#: Few of each, so that what is said meets what was said.
purposes = st.just(Purpose.GENERATION)
people = st.integers(0, 2)
#: How many answers come between two links: people who are one too soon have nothing to disagree about.
APART = 6


@dataclass(frozen=True, slots=True, kw_only=True)
class Told:
    """One answer about one purpose, as the test saw it arrive: which place it had, whose it was, whether it counted."""

    place: int
    ref: SubjectRef
    purpose: Purpose
    recipients: frozenset[str] | None
    granted: bool
    recorded: RecordedEvent
    occurred_at: datetime | None

    def is_about(self, purpose: Purpose, recipient: str) -> bool:
        return self.purpose is purpose and (self.recipients is None or recipient in self.recipients)


class LinkedPeople(RuleBasedStateMachine):
    """Fill in ``ledger``, ``wait_for`` and ``now``; time passes by itself or by ``pass_time``."""

    queue = Queue("queue")

    def ledger(self) -> ConsentLedger:
        """The ledger of this run."""
        raise NotImplementedError

    def wait_for(self, coming: Awaitable[Answer]) -> Answer:
        """Run to the end."""
        raise NotImplementedError

    def now(self) -> datetime:
        """The ledger's time."""
        raise NotImplementedError

    def pass_time(self) -> None:
        """Let some time pass."""

    @initialize()
    def begin(self) -> None:
        self.on = self.ledger()
        self.refs = [new_ref() for _ in range(3)]
        self.person = {ref: {ref} for ref in self.refs}
        self.told: list[Told] = []
        self.told_at_link = 0

    @rule()
    def time_passes(self) -> None:
        self.pass_time()

    @rule(who=people, purpose=purposes, to=recipients)
    def somebody_says_yes(self, who: int, purpose: Purpose, to: frozenset[str] | None) -> None:
        self.say(self.refs[who], purpose, to, granted=True)
        for recipient in to or RECIPIENTS:
            assert self.state(self.refs[who], purpose, recipient) is ConsentState.GRANTED

    @rule(who=people, purpose=purposes, to=recipients, off=clocks)
    def somebody_says_no(self, who: int, purpose: Purpose, to: frozenset[str] | None, off: timedelta) -> None:
        self.say(self.refs[who], purpose, to, granted=False, occurred_at=self.now() + off)
        for recipient in to or RECIPIENTS:
            assert self.state(self.refs[who], purpose, recipient) is ConsentState.DECLINED

    @rule(who=people, to=recipients)
    def somebody_takes_it_back(self, who: int, to: frozenset[str] | None) -> None:
        ref = self.refs[who]
        recorded = self.wait_for(self.on.withdraw(withdrawal(ref, recipients=to)))
        for purpose in Purpose:
            self.remember(ref, purpose, to, granted=False, recorded=recorded)
            for recipient in to or RECIPIENTS:
                assert self.state(ref, purpose, recipient) is ConsentState.WITHDRAWN

    @rule(target=queue, who=people, purpose=purposes, to=recipients, off=clocks)
    def a_device_without_network_takes_a_yes(
        self, who: int, purpose: Purpose, to: frozenset[str] | None, off: timedelta
    ) -> tuple[SubjectRef, Purpose, frozenset[str] | None, datetime]:
        return self.refs[who], purpose, to, self.now() + off

    @rule(queued=consumes(queue))
    def a_queued_yes_arrives(self, queued: tuple[SubjectRef, Purpose, frozenset[str] | None, datetime]) -> None:
        ref, purpose, to, occurred_at = queued
        try:
            self.say(ref, purpose, to, granted=True, occurred_at=occurred_at)
        except TimeNotAllowed:
            assert occurred_at > self.now()

    @precondition(lambda self: len(self.told) >= self.told_at_link + APART)
    @rule(who=people, into=people, carry=st.sampled_from(Carry))
    def two_identifiers_turn_out_to_be_one_person(self, who: int, into: int, carry: Carry) -> None:
        taken, kept = self.refs[who], self.refs[into]
        if self.person[taken] is self.person[kept]:
            return
        before = {
            (purpose, recipient): [self.state(ref, purpose, recipient) for ref in (taken, kept)]
            for purpose in Purpose
            for recipient in RECIPIENTS
        }
        self.wait_for(self.on.link(link(taken, into=kept, carry=carry)))
        self.told_at_link = len(self.told)
        joined = self.person[taken] | self.person[kept]
        self.person.update(dict.fromkeys(joined, joined))
        for (purpose, recipient), (theirs, ours) in before.items():
            after = self.state(kept, purpose, recipient)
            if {theirs, ours} & NOES:
                assert after in NOES, "a no of one side has to hold"
            if carry is Carry.REFUSALS and ours is not ConsentState.GRANTED:
                assert after is not ConsentState.GRANTED, "a yes was to be left behind"

    def say(
        self,
        ref: SubjectRef,
        purpose: Purpose,
        to: frozenset[str] | None,
        *,
        granted: bool,
        occurred_at: datetime | None = None,
    ) -> None:
        answer: PurposeAnswer = yes(purpose, to=sorted(to or RECIPIENTS)) if granted else no(purpose, to=to)
        recorded = self.wait_for(self.on.decide(decision(ref, answer, occurred_at=occurred_at)))
        self.remember(ref, purpose, to, granted=granted, recorded=recorded, occurred_at=occurred_at)

    def remember(
        self,
        ref: SubjectRef,
        purpose: Purpose,
        to: frozenset[str] | None,
        *,
        granted: bool,
        recorded: RecordedEvent,
        occurred_at: datetime | None = None,
    ) -> None:
        told = Told(
            place=len(self.told),
            ref=ref,
            purpose=purpose,
            recipients=to,
            granted=granted,
            recorded=recorded,
            occurred_at=occurred_at,
        )
        self.told.append(told)

    def entry(self, ref: SubjectRef, purpose: Purpose, recipient: str) -> RecipientStanding | None:
        standing = self.wait_for(self.on.standings(ref)).get(purpose)
        return standing.entry(recipient) if standing is not None else None

    def state(self, ref: SubjectRef, purpose: Purpose, recipient: str) -> ConsentState:
        entry = self.entry(ref, purpose, recipient)
        return entry.state if entry is not None else ConsentState.NEVER_ASKED

    @invariant()
    def no_yes_stands_after_a_later_no_and_no_no_is_lost(self) -> None:
        for ref in self.refs:
            mine = [told for told in self.told if told.ref in self.person[ref]]
            for purpose in Purpose:
                for recipient in RECIPIENTS:
                    about = [told for told in mine if told.is_about(purpose, recipient)]
                    self.check(self.entry(ref, purpose, recipient), about)

    @invariant()
    def every_reference_of_a_person_tells_the_same_and_history_adds_up_to_it(self) -> None:
        for ref in self.refs:
            standings = self.wait_for(self.on.standings(ref))
            assert self.wait_for(self.on.standings_at(ref, at=self.now() + HOUR)) == standings
            history = self.wait_for(self.on.events(ref, page=Page(limit=1000))).items
            assert {event.subject_ref for event in history} <= self.person[ref]
            told = {one.recorded.event.id for one in self.told if one.ref in self.person[ref]}
            assert {event.id for event in history if event.kind != "link"} == told
            for other in self.person[ref]:
                assert self.wait_for(self.on.standings(other)) == standings

    def check(self, entry: RecipientStanding | None, about: list[Told]) -> None:
        noes = [told for told in about if not told.granted]
        if entry is None:
            assert not noes, "a no was lost"
            return
        if entry.state is not ConsentState.GRANTED:
            return
        [given] = [told for told in about if told.granted and told.recorded.event.id == entry.event_id]
        for refused in noes:
            assert refused.place < given.place, "a yes stands after a no that arrived later"
            if given.occurred_at is not None:
                assert given.occurred_at > refused.recorded.event.received_at, "a yes stands that was given before a no"
