"""The JSON the control API takes: closed, so that what is not known is an error."""

import re
from datetime import UTC, datetime, timedelta
from typing import Annotated, Any, Literal, Self

from pydantic import (
    AfterValidator,
    AwareDatetime,
    BaseModel,
    BeforeValidator,
    ConfigDict,
    Field,
    StrictBool,
    StrictInt,
    StringConstraints,
    WithJsonSchema,
    model_validator,
)

from consent_proxy.domain.callers import Role, Scope
from consent_proxy.domain.categories import GRANTABLE, DataCategory, Purpose
from consent_proxy.domain.disclosures import parse_duration
from consent_proxy.domain.links import Carry

Name = Annotated[str, StringConstraints(pattern=r"^[a-z0-9][a-z0-9._-]{0,63}$")]
Version = Annotated[str, StringConstraints(pattern=r"^[A-Za-z0-9][A-Za-z0-9._-]{0,63}$")]
Country = Annotated[str, StringConstraints(pattern=r"^[A-Z]{2}$")]
Line = Annotated[str, StringConstraints(min_length=1, max_length=300, pattern=r"^[^\x00-\x1f\x7f]+$")]
Prose = Annotated[str, StringConstraints(min_length=1, max_length=20_000)]
LocaleTag = Annotated[str, StringConstraints(pattern=r"^[A-Za-z]{2,8}(-[A-Za-z0-9]{1,8})*$", max_length=35)]
Sha256 = Annotated[str, StringConstraints(pattern=r"^[0-9a-f]{64}$")]
#: What a filter is told stands in the access log for good: it cannot be an address of a person's.
Label = Annotated[str, StringConstraints(pattern=r"^[A-Za-z0-9][A-Za-z0-9 ._:/#-]{0,199}$")]
EvidenceText = Annotated[str, StringConstraints(pattern=r"^[A-Za-z0-9][A-Za-z0-9._+:/-]{0,63}$")]


def _grantable(category: DataCategory) -> DataCategory:
    if category not in GRANTABLE:
        raise ValueError("nothing permits this category, so nothing may name it")
    return category


Category = Annotated[
    DataCategory,
    AfterValidator(_grantable),
    WithJsonSchema({"type": "string", "enum": sorted(GRANTABLE), "title": "DataCategory"}),
]


_RFC_3339 = re.compile(r"\d{4}-\d{2}-\d{2}T\d{2}:\d{2}:\d{2}(?:\.\d{1,9})?(?:Z|[+-]\d{2}:\d{2})")
_EARLIEST, _LATEST = datetime(1970, 1, 1, tzinfo=UTC), datetime.max.replace(tzinfo=UTC)
_LONGEST = timedelta(days=36_525)


def _moment(value: object) -> datetime:
    """Read one form of time, where a lenient parser takes numbers too and then is not understood by the next one."""
    if not isinstance(value, str) or _RFC_3339.fullmatch(value) is None:
        raise ValueError("a moment is written as in RFC 3339, with its offset: 2026-03-03T12:00:00Z")
    moment = datetime.fromisoformat(value)
    if not _EARLIEST <= moment <= _LATEST:
        raise ValueError("a moment is from 1970 to 9999")
    return moment


#: A moment with its offset, that every part of the service can reckon with.
Moment = Annotated[AwareDatetime, BeforeValidator(_moment)]


def _duration(value: int | str) -> int | str:
    try:
        length = parse_duration(value)
    except OverflowError:
        length = None
    if length is None or length > _LONGEST:
        raise ValueError("a length of time is a hundred years at most")
    return value


Duration = Annotated[StrictInt | str, AfterValidator(_duration)]


def _not_current(version: str) -> str:
    if version == "current":
        raise ValueError("GET /v1/disclosures/current means the version in force: choose another name")
    return version


class Inbound(BaseModel):
    """Closed: a member that is not known is an error, and errors never repeat what was sent."""

    model_config = ConfigDict(extra="forbid", frozen=True, hide_input_in_errors=True)


class ControllerIn(Inbound):
    """The company that runs the service and decides the purposes."""

    name: Line
    contact: Line
    policy_url: Line


class RecipientIn(Inbound):
    """A legal entity the disclosure says data goes to."""

    id: Name
    legal_entity: Line
    country: Country
    purposes: list[Purpose] | None = None
    categories: list[Category] | None = None


class PurposeIn(Inbound):
    """What data is used for, and which kinds of it."""

    id: Purpose
    categories: Annotated[list[Category], Field(min_length=1)]
    description: dict[LocaleTag, Prose]


class SectionIn(Inbound):
    """A heading and its text."""

    heading: Line
    text: Prose


class TextIn(Inbound):
    """What one language shows; plain text, a blank line between paragraphs."""

    title: Line
    body: Prose
    sections: list[SectionIn] = []
    accept_label: Line
    decline_label: Line
    withdrawal_hint: Prose


class DisclosureIn(Inbound):
    """A version to publish; see the contract for what each member means."""

    version: Annotated[Version, AfterValidator(_not_current)]
    effective_at: Moment
    material: StrictBool
    outdates_at: Moment | None = None
    consent_valid_for: Duration | None = None
    approved_by: Line | None = None
    controller: ControllerIn
    recipients: Annotated[list[RecipientIn], Field(min_length=1)]
    purposes: Annotated[list[PurposeIn], Field(min_length=1)]
    categories: dict[Category, dict[LocaleTag, Line]]
    texts: Annotated[dict[LocaleTag, TextIn], Field(min_length=1)]

    @model_validator(mode="after")
    def _consistent(self) -> Self:
        for what, ids in (
            ("recipient", [recipient.id for recipient in self.recipients]),
            ("purpose", [purpose.id for purpose in self.purposes]),
            ("language", [locale.casefold() for locale in self.texts]),
        ):
            if len(set(ids)) != len(ids):
                raise ValueError(f"a {what} is named twice")
        named = {category for purpose in self.purposes for category in purpose.categories}
        if unnamed := named - set(self.categories):
            raise ValueError(f"categories has no words for {', '.join(sorted(unnamed))}")
        if self.outdates_at is not None and (not self.material or self.outdates_at < self.effective_at):
            raise ValueError("outdates_at goes with material: true, and is not before effective_at")
        return self


class SubProcessorIn(Inbound):
    """A maker of models the recipient may use."""

    id: Name
    legal_entity: Line
    country: Country


class ContractIn(Inbound):
    """A version of the agreement with a recipient."""

    legal_entity: Line
    reference: Line
    purposes: list[Purpose]
    categories: list[Category]
    countries: list[Country]
    sub_processors: list[SubProcessorIn] = []
    transfer_mechanism: Line | None = None
    equal_protection: StrictBool
    own_purposes_excluded: StrictBool
    valid_from: Moment
    valid_until: Moment | None = None

    @model_validator(mode="after")
    def _in_order(self) -> Self:
        if self.valid_until is not None and self.valid_until <= self.valid_from:
            raise ValueError("valid_until has to be after valid_from")
        return self


class Evidence(Inbound):
    """What the app knows of the moment; closed, so that no free text enters the ledger."""

    surface: Literal["ios", "android", "web", "server", "import"] | None = None
    app_version: EvidenceText | None = None
    screen: EvidenceText | None = None
    shown_at: Moment | None = None
    screen_sha256: Sha256 | None = None
    control: Literal["button", "toggle", "signature"] | None = None

    def as_recorded(self) -> dict[str, str]:
        """The members that were given, as text."""
        return {name: str(value) for name, value in self.model_dump(mode="json", exclude_none=True).items()}


class AnswerIn(Inbound):
    """The answer for one purpose; without recipients it is for all that the disclosure names."""

    purpose: Purpose
    decision: Literal["granted", "declined"]
    recipients: Annotated[list[Name], Field(min_length=1)] | None = None


class DecisionIn(Inbound):
    """One screen's answers: ``answers``, or one ``decision`` for all, or for some, purposes."""

    disclosure: Version
    disclosure_sha256: Sha256 | None = None
    locale: LocaleTag
    answers: Annotated[list[AnswerIn], Field(min_length=1)] | None = None
    decision: Literal["granted", "declined"] | None = None
    purposes: Annotated[list[Purpose], Field(min_length=1)] | None = None
    occurred_at: Moment | None = None
    evidence: Evidence = Evidence()
    actor: Literal["self", "guardian"] = "self"

    @model_validator(mode="after")
    def _one_form(self) -> Self:
        if (self.answers is None) == (self.decision is None):
            raise ValueError("send either answers or one decision")
        if self.answers is not None and self.purposes is not None:
            raise ValueError("purposes goes with decision; answers name their own")
        asked = [answer.purpose for answer in self.answers or []] or list(self.purposes or [])
        if len(set(asked)) != len(asked):
            raise ValueError("a purpose is answered twice")
        return self


class WithdrawalIn(Inbound):
    """What is taken back; without purposes or recipients, everything."""

    purposes: Annotated[list[Purpose], Field(min_length=1)] | None = None
    recipients: Annotated[list[Name], Field(min_length=1)] | None = None
    occurred_at: Moment | None = None
    evidence: Evidence = Evidence()
    reason: Literal["user-request", "account-closed", "guardian", "operator"] = "user-request"


class IdentifierIn(Inbound):
    """An identifier as a body names it."""

    subject: str
    kind: Literal["account", "session"] | None = None


class LinkIn(Inbound):
    """The identifier that goes into the header's, and what it takes along: every answer, or only the noes."""

    source: Annotated[IdentifierIn, Field(alias="from")]
    carry: Carry


class SubjectTokenIn(Inbound):
    """For whom a token is, what it may do, and for how long (seconds)."""

    subject: str
    kind: Literal["account", "session"] | None = None
    scopes: Annotated[list[Scope], Field(min_length=1)] | None = None
    purposes: Annotated[list[Purpose], Field(min_length=1)] | None = None
    expires_in: Annotated[StrictInt, Field(ge=1, le=86_400)] = 900


class TokenRevocationIn(Inbound):
    """One token, or every token of a subject issued so far."""

    token: str | None = None
    subject: str | None = None
    kind: Literal["account", "session"] | None = None

    @model_validator(mode="after")
    def _one_form(self) -> Self:
        if (self.token is None) == (self.subject is None):
            raise ValueError("send either the token or the subject")
        return self


class KeyIn(Inbound):
    """A key to make: whose, with which roles, until when."""

    caller: Name
    roles: Annotated[list[Role], Field(min_length=1)]
    expires_at: Moment | None = None


class CheckIn(Inbound):
    """What one would send: the model's input as its SDK takes it; ``purpose`` tells two manifests of one id apart."""

    provider: Name
    model: Annotated[str, StringConstraints(min_length=1, max_length=200)]
    input: dict[str, Any]
    purpose: Purpose | None = None
