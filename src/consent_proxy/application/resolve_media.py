"""Finding the media that a permitted request names: held here, made before, written out, or at an allowed address.

Called after a positive decision only: nothing of a subject's is looked up or fetched before.
"""

import asyncio
from base64 import b64decode
from collections.abc import AsyncIterator, Sequence
from dataclasses import replace

from consent_proxy.application.hold_media import MediaRoom
from consent_proxy.application.ports.media import MediaTooLarge, MediaUnreadable
from consent_proxy.application.ports.platform import Clock
from consent_proxy.application.ports.providers import OutputUnavailable, Provider
from consent_proxy.application.recognise import is_one_person
from consent_proxy.application.relay import let_go
from consent_proxy.domain.media import AT_HAND_BYTES, CleanMedium, FoundMedia, MediaFault, MediaOwner, WholeContent
from consent_proxy.domain.media_names import AddressName, HeldName, OutputName, WrittenOut, read_media_name
from consent_proxy.domain.refusals import Reason
from consent_proxy.domain.transfers import Output

#: How long an earlier result may take to be read again, in seconds.
READ_AGAIN_WITHIN = 120.0

NOT_A_NAME = MediaFault(
    reason=Reason.MEDIA_SOURCE_NOT_ALLOWED,
    fault="has to name held media, an earlier result of this person's, a base64 data URI or an allowed address",
)
NOT_LISTED = MediaFault(
    reason=Reason.MEDIA_SOURCE_NOT_ALLOWED,
    fault="names an address on a host that is not listed in CONSENT_PROXY_MEDIA__SOURCE_HOSTS",
)
NOT_YOURS = MediaFault(
    reason=Reason.MEDIA_NOT_YOURS, fault="names media that are not held for this caller and person, or not any more"
)
OF_ANOTHER_PROVIDER = MediaFault(
    reason=Reason.MEDIA_SOURCE_NOT_ALLOWED, fault="names a result of another provider's: upload it to send it there"
)
NOT_HANDED_OUT = MediaFault(
    reason=Reason.MEDIA_SOURCE_NOT_ALLOWED, fault="names media that cannot be read where they are"
)
NOT_BASE64 = MediaFault(reason=Reason.VALUE_NOT_ALLOWED, fault="has a data URI that is not base64 throughout")


async def resolve_media(
    names: Sequence[str],
    *,
    owner: MediaOwner,
    provider: Provider,
    salt: bytes,
    room: MediaRoom,
    clock: Clock,
    look_in: bool = True,
) -> FoundMedia:
    """What each of the names stands for, cleaned, or why it cannot leave.

    Without ``look_in`` nothing is fetched and nothing is cleaned: what would have to be is ``None``. Raises
    ``Overloaded`` and ``LedgerUnavailable``.
    """
    finding = _Finding(owner=owner, provider=provider, salt=salt, room=room, clock=clock, look_in=look_in)
    return {name: await finding.find(name) for name in names}


class _Finding:
    def __init__(
        self, *, owner: MediaOwner, provider: Provider, salt: bytes, room: MediaRoom, clock: Clock, look_in: bool
    ) -> None:
        self._owner, self._provider, self._salt = owner, provider, salt
        self._room, self._clock, self._look_in = room, clock, look_in

    async def find(self, text: str) -> CleanMedium | MediaFault | None:
        match read_media_name(text, public_url=self._room.public_url):
            case HeldName() as name:
                return await self._held(name)
            case OutputName() as name:
                return await self._output(name)
            case WrittenOut() as name:
                return await self._written_out(name)
            case AddressName() as name:
                return await self._clean(self._room.sources.fetch(name.url)) if self._allows(name) else NOT_LISTED
            case None:
                return NOT_A_NAME

    def _allows(self, name: AddressName) -> bool:
        return self._room.sources.allows(name.url)

    async def _held(self, name: HeldName) -> CleanMedium | MediaFault:
        held = await self._room.held.find(name.id, owner=self._owner)
        if held is None:
            return NOT_YOURS
        medium = held.medium
        if not self._look_in or medium.bytes > AT_HAND_BYTES:
            return medium
        try:
            content = b"".join([piece async for piece in medium.content.pieces()])
        except MediaUnreadable:
            return NOT_YOURS
        return replace(medium, content=WholeContent(content))

    async def _written_out(self, name: WrittenOut) -> CleanMedium | MediaFault | None:
        try:
            content = b64decode(name.base64, validate=True)
        except ValueError:
            return NOT_BASE64
        return await self._clean(WholeContent(content).pieces())

    async def _output(self, name: OutputName) -> CleanMedium | MediaFault | None:
        """An earlier result, read again and cleaned like everything else, so that the record says what was sent.

        Handing the provider its own address back would keep nothing more there, and would prove nothing either.
        """
        output = await self._room.jobs.find_output(name.capability)
        if output is None or not await self._is_owners(output):
            return NOT_YOURS
        if self._clock.now() >= output.expires_at:
            return NOT_YOURS
        if output.provider != self._provider.name:
            return OF_ANOTHER_PROVIDER
        return await self._clean(self._read_output(output))

    async def _is_owners(self, output: Output) -> bool:
        same_caller = output.caller_id == self._owner.caller_id
        subjects = self._room.subjects
        return same_caller and await is_one_person(output.subject_ref, self._owner.subject_ref, subjects=subjects)

    async def _read_output(self, output: Output) -> AsyncIterator[bytes]:
        try:
            async with asyncio.timeout(READ_AGAIN_WITHIN):
                opened = await self._provider.open_output(output.url, headers={})
                try:
                    async for chunk in opened.chunks:
                        yield chunk
                finally:
                    await let_go(opened.chunks)
        except TimeoutError:
            raise MediaUnreadable("an earlier result came too slowly") from None

    async def _clean(self, pieces: AsyncIterator[bytes]) -> CleanMedium | MediaFault | None:
        if not self._look_in:
            return None
        try:
            return await self._room.cleaner.clean(pieces, salt=self._salt)
        except MediaTooLarge as error:
            return MediaFault(reason=Reason.BODY_TOO_LARGE, fault=f"names a file of more than {error.limit} bytes")
        except (MediaUnreadable, OutputUnavailable):
            return NOT_HANDED_OUT
