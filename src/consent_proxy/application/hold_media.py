"""Holding a medium: cleaned on arrival and kept here, where nobody but its caller and subject can name it.

Holding is not sending: nothing leaves, so no consent has to stand yet, and an app may upload while it still asks. What
is held has no use but being sent; so the withdrawal that ends the last consent ends it too (``withdraw``).
"""

from collections.abc import AsyncIterator
from dataclasses import dataclass

from consent_proxy.application.ports.consent import Subjects
from consent_proxy.application.ports.media import HeldMedia, MediaCleaner, MediaSource
from consent_proxy.application.ports.transfers import FactsSource, Jobs
from consent_proxy.domain.categories import Purpose
from consent_proxy.domain.media import HeldMedium, MediaFault, MediaOwner


@dataclass(frozen=True, slots=True, kw_only=True)
class MediaRoom:
    """What handling media takes. ``public_url``, without a slash at its end, begins our own media's names.

    ``max_bytes`` is the most that a file may have.
    """

    public_url: str
    max_bytes: int
    cleaner: MediaCleaner
    held: HeldMedia
    sources: MediaSource
    jobs: Jobs
    subjects: Subjects


async def hold_media(
    pieces: AsyncIterator[bytes], *, owner: MediaOwner, facts: FactsSource, room: MediaRoom
) -> HeldMedium | MediaFault:
    """Clean a file and keep it, or say what is wrong with it.

    Raises ``MediaTooLarge``, ``Overloaded``, ``LedgerUnavailable``, and what ``pieces`` raises.
    """
    known = await facts.facts(owner.subject_ref, purpose=Purpose.GENERATION, fresh=False)
    medium = await room.cleaner.clean(pieces, salt=known.salt)
    if isinstance(medium, MediaFault):
        return medium
    return await room.held.keep(medium, owner=owner)
