"""Which records a command is about: the options that choose them, and the query they make."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

import click

from consent_proxy.api.listing import PageParameters
from consent_proxy.application.ports.records import TransferQuery
from consent_proxy.cli.arguments import COUNTRY, LABEL, MOMENT, NAME, OneOf, read_subject
from consent_proxy.domain.categories import DataCategory, Purpose
from consent_proxy.domain.refusals import Reason
from consent_proxy.domain.subjects import SubjectIdentifier, SubjectKind, SubjectRef
from consent_proxy.domain.transfers import OutcomeState

#: Each filter's type, and what its help says after "Only".
FILTERS: Mapping[str, tuple[Any, str]] = {
    "recipient": (NAME, "what went to this recipient, a legal entity's id"),
    "provider": (NAME, "what went through this provider (fal, replicate)"),
    "model": (LABEL, "what this model was asked"),
    "purpose": (OneOf(Purpose), f"this purpose: {', '.join(Purpose)}"),
    "category": (OneOf(DataCategory), "what carried this kind of data, such as prompt or photo"),
    "caller": (NAME, "what this caller asked for"),
    "kind": (OneOf(["transfer", "refusal", "delivery"]), "this kind of record: transfer, refusal, delivery"),
    "reason": (OneOf(Reason), "refusals for this reason, such as consent-declined"),
    "outcome": (OneOf(OutcomeState), f"transfers that came to this: {', '.join(OutcomeState)}"),
    "contract": (LABEL, "what rested on this contract, by its id or reference"),
    "country": (COUNTRY, "what went to this country, by its two letters"),
    "job": (click.UUID, "this job, by its id"),
}

_PERSON_AND_PERIOD = (
    click.option("--subject-ref", type=click.UUID, help="Only what is about the person of this reference."),
    click.option(
        "--subject",
        metavar="-",
        help="Only what is about the person whose identifier you type, or send as the one line of standard input."
        " Takes - and nothing else.",
    ),
    click.option(
        "--subject-kind",
        type=OneOf(SubjectKind),
        default=SubjectKind.ACCOUNT.value,
        show_default=True,
        help="What the identifier of --subject identifies.",
    ),
    click.option(
        "--from", "from_at", type=MOMENT, help="From this moment on: 2026-11-01 (UTC) or 2026-11-01T09:30:00+01:00."
    ),
    click.option("--to", "to_at", type=MOMENT, help="Up to before this moment, written like --from."),
    click.option(
        "--order",
        type=OneOf(["desc", "asc"]),
        default="desc",
        show_default=True,
        help="The newest first, or the oldest first.",
    ),
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Wanted:
    """Which records, and of whom where a person is named by identifier."""

    query: TransferQuery
    subject: SubjectIdentifier | None


def filtered(command: Callable[..., None]) -> Callable[..., None]:
    """The options that choose records; ``wanted`` makes of them what a desk is asked."""
    for option in reversed(_PERSON_AND_PERIOD):
        command = option(command)
    for name, (kind, only) in reversed(list(FILTERS.items())):
        told = f"Only {only}. May repeat."
        command = click.option(f"--{name}", multiple=True, type=kind, metavar=name.upper(), help=told)(command)
    return command


def wanted(options: Mapping[str, Any], *, limit: int) -> Wanted:
    """The query that the options of ``filtered`` make; asks for the person's identifier where it has to.

    Raises ``click.UsageError``.
    """
    if options["subject"] not in {None, "-"}:
        raise click.UsageError(
            "--subject takes - and nothing else, so that no identifier stays in the shell's history or shows in process"
            " lists: it is asked for, or read from standard input"
        )
    ref = options["subject_ref"]
    query = TransferQuery(
        subject_ref=SubjectRef(ref) if ref is not None else None,
        filters={name: tuple(map(str, options[name])) for name in FILTERS if options[name]},
        page=PageParameters(limit, None, options["order"], options["from_at"], options["to_at"]).page,
    )
    subject = read_subject(kind=options["subject_kind"]) if options["subject"] is not None else None
    return Wanted(query=query, subject=subject)
