"""What the rows of the log say of each other: every transfer cites a yes and a contract that stood when it left."""

from dataclasses import dataclass, field
from datetime import datetime, timedelta

from consent_proxy.adapters.verifier.leaves import Row
from consent_proxy.adapters.verifier.proofs import Wrong

#: Rules are changed by one clock and obeyed by another, with the wait for a lock between them.
RULES_SLACK = timedelta(seconds=15)


@dataclass(frozen=True)
class Yes:
    """A grant about one recipient, as one consent event gave it."""

    event: str
    disclosure: str
    categories: frozenset[str]
    until: datetime | None


@dataclass(frozen=True)
class Stand:
    """What stood for a subject and a purpose from one event on; a recipient that is not named has ``everyone``."""

    since: datetime | None = None
    recipients: dict[str, Yes | None] = field(default_factory=dict)  # None is a no
    noes: dict[str, datetime] = field(default_factory=dict)
    no_to_all: datetime | None = None


class Promises:
    """Follows consent, contracts and disclosures through the log, and holds each transfer against them."""

    def __init__(self) -> None:
        self.contracts: dict[str, Row] = {}
        self.ends: dict[str, datetime] = {}
        self.disclosures: dict[str, Row] = {}
        self.stands: dict[tuple[str, str], list[Stand]] = {}
        self.grants: dict[tuple[str, str, str], Yes] = {}
        self.joined: set[str] = set()
        self.transfers: set[str] = set()
        self.counts = {"transfers": 0, "refusals": 0, "outcomes": 0, "consent events": 0, "held to the event alone": 0}

    def take(self, kind: str, record: Row) -> None:
        """The next row of the log. Raises ``Wrong``."""
        match kind:
            case "intent":
                self._intent(record)
            case "outcome":
                self._outcome(record)
            case "consent":
                self._consent(record)
            case "refusal":
                self._count("refusals")
            case "contract":
                self.contracts[record["id"]] = record
            case "contract-end":  # may only be moved earlier
                self.ends[record["id"]] = moment(record["ended_at"])
            case "disclosure":
                self.disclosures[record["version"]] = record
            case _:
                raise Wrong("this verifier is too old to know this kind of row")

    def _count(self, what: str) -> None:
        self.counts[what] += 1

    def _consent(self, event: Row) -> None:
        self._count("consent events")
        reasons = {answer["reason"] for answer in event["answers"] if answer["decision"] == "granted"}
        if event["kind"] not in {"decision", "withdrawal"} or reasons - {None, "superseded", "too-old"}:
            self.joined.add(event["subject_ref"])
            return
        at = moment(event["received_at"])
        for answer in event["answers"]:
            history = self.stands.setdefault((event["subject_ref"], answer["purpose"]), [Stand()])
            if answer["decision"] != "granted":
                history.append(_after_no(history[-1], answer["recipients"], at))
            elif answer["reason"] != "too-old":
                history.append(_after_yes(history[-1], event, answer, at))
                for name, yes in history[-1].recipients.items():
                    if yes is not None and yes.event == event["id"]:
                        self.grants[event["id"], answer["purpose"], name] = yes

    def _intent(self, intent: Row) -> None:
        self._count("transfers")
        self.transfers.add(intent["id"])
        at, told = moment(intent["intent_at"]), intent["details"]["consent"]
        if intent["subject_ref"] in self.joined:  # what was carried over from another identifier is not replayed
            self._count("held to the event alone")
            yes = self.grants.get((told["event_id"], intent["purpose"], intent["recipient"]))
        else:
            yes = self._standing(intent, at)
        if yes is None or yes.event != told["event_id"]:
            raise Wrong("it cites a consent that did not stand")
        if missing := set(intent["categories"]) - yes.categories:
            raise Wrong(f"it sent what the consent it cites does not cover: {', '.join(sorted(missing))}")
        if yes.until is not None and at >= yes.until:
            raise Wrong("the consent it cites had expired")
        if (outdated := self._outdated(yes)) is not None and at >= outdated:
            raise Wrong("the disclosure it was consented to was outdated")
        self._contract(intent, at)

    def _standing(self, intent: Row, at: datetime) -> Yes | None:
        history = self.stands.get((intent["subject_ref"], intent["purpose"]), [])
        version, recipient = intent["standing_version"], intent["recipient"]
        if not 0 < version < len(history):
            raise Wrong("it cites a consent that nobody gave")
        for later in history[version + 1 :]:
            if later.recipients.get(recipient) is None and later.since is not None and later.since < at:
                raise Wrong(f"it left at {at}, after the consent was taken back at {later.since}")
        return history[version].recipients.get(recipient)

    def _outdated(self, yes: Yes) -> datetime | None:
        """From when a material disclosure that came later outdates a yes."""
        if (shown := self.disclosures.get(yes.disclosure)) is None:
            raise Wrong("the disclosure it was consented to is not in the log")
        ends = []
        for other in self.disclosures.values():
            document = other["document"]
            if document["material"] and _order(other) > _order(shown):
                from_at = max(moment(document["effective_at"]), moment(document.get("outdates_at") or "0001-01-01Z"))
                ends.append(max(from_at, moment(other["published_at"]) + RULES_SLACK))
        return min(ends, default=None)

    def _contract(self, intent: Row, at: datetime) -> None:
        contract = self.contracts.get(intent["contract_id"])
        if contract is None or contract["recipient"] != intent["recipient"]:
            raise Wrong("it cites a contract with its recipient that is not in the log")
        terms, until = contract["document"], contract["valid_until"]
        ended = self.ends.get(contract["id"])
        if at < moment(contract["valid_from"]) or (until is not None and at >= moment(until)):
            raise Wrong("the contract it cites was not in force")
        if ended is not None and at >= ended + RULES_SLACK:
            raise Wrong(f"the contract it cites had ended at {ended}")
        if intent["purpose"] not in terms["purposes"] or set(intent["categories"]) - set(terms["categories"]):
            raise Wrong("the contract it cites does not cover it")

    def _outcome(self, outcome: Row) -> None:
        self._count("outcomes")
        if outcome["transfer_id"] not in self.transfers:
            raise Wrong(f"it is the outcome of {outcome['transfer_id']}, of which there is no intent before it")


def _after_no(before: Stand, recipients: list[str] | None, at: datetime) -> Stand:
    if recipients is None:
        return Stand(at, no_to_all=at)
    named, noes = dict.fromkeys(recipients), dict.fromkeys(recipients, at)
    return Stand(at, before.recipients | named, before.noes | noes, before.no_to_all)


def _after_yes(before: Stand, event: Row, answer: Row, at: datetime) -> Stand:
    """A yes that was given no later than the last no arrived changes nothing for that recipient."""
    given = moment(event["occurred_at"]) if event["occurred_at"] else None
    until = moment(answer["valid_until"]) if answer["valid_until"] else None
    named: dict[str, Yes | None] = dict(before.recipients)
    for name, categories in answer["categories"].items():
        noes = [moment for moment in (before.noes.get(name), before.no_to_all) if moment is not None]
        if given is None or all(given > moment for moment in noes):
            named[name] = Yes(event["id"], event["disclosure"], frozenset(categories), until)
    return Stand(at, named, before.noes, before.no_to_all)


def _order(disclosure: Row) -> tuple[datetime, datetime]:
    return moment(disclosure["document"]["effective_at"]), moment(disclosure["published_at"])


def moment(text: str) -> datetime:
    return datetime.fromisoformat(text)
