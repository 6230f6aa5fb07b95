"""The elements of WebM: which are kept and where they may stand, which go, and how each is told from the next."""

from collections.abc import Mapping
from enum import Enum, auto
from typing import NamedTuple

from consent_proxy.adapters.media.spans import Edit, Source, Span, Zeros
from consent_proxy.adapters.media.tags import TagGroup, not_clean

VOID, CRC = 0xEC, 0xBF
EBML, SEGMENT = 0x1A45DFA3, 0x18538067
SEEK_HEAD, INFO, TRACKS, CLUSTER, CUES = 0x114D9B74, 0x1549A966, 0x1654AE6B, 0x1F43B675, 0x1C53BB6B
CHAPTERS, ATTACHMENTS, TAGS = 0x1043A770, 0x1941A469, 0x1254C367
SEEK, SEEK_ID, SEEK_POSITION = 0x4DBB, 0x53AB, 0x53AC
TRACK_ENTRY, TRACK_NUMBER, TRACK_UID, TRACK_TYPE = 0xAE, 0xD7, 0x73C5, 0x83
CODEC_ID, CODEC_PRIVATE, VIDEO, AUDIO = 0x86, 0x63A2, 0xE0, 0xE1
COLOUR, MASTERING = 0x55B0, 0x55D0
BLOCK_GROUP, BLOCK, SIMPLE_BLOCK = 0xA0, 0xA1, 0xA3
BLOCK_ADDITIONS, BLOCK_MORE, BLOCK_ADD_ID, BLOCK_ADDITIONAL = 0x75A1, 0xA6, 0xEE, 0xA5
CUE_POINT, CUE_POSITIONS, CUE_TRACK = 0xBB, 0xB7, 0xF7
DOC_TYPE = 0x4282
#: In bytes (RFC 8794, 5 and 6).
_LONGEST_ID, _LONGEST_SIZE = 4, 8
TOP_LEVEL = frozenset({SEEK_HEAD, INFO, TRACKS, CLUSTER, CUES, CHAPTERS, ATTACHMENTS, TAGS})


class Rule(Enum):
    """What becomes of an element."""

    PARENT = auto()  # holds others
    NUMBER = auto()  # at most eight bytes, kept, and there at most once
    NUMBERS = auto()  # the same, as often as it likes
    TEXT = auto()  # has to be there, and says nothing afterwards
    SAMPLES = auto()  # kept if its track is
    SPECIAL = auto()  # known to the one who walks
    GOES = auto()


def _rules(rule: Rule, *ids: int) -> dict[int, Rule]:
    return dict.fromkeys(ids, rule)


#: By parent, what may stand in it (RFC 9559, section 5); what is not here refuses the file.
RULES: Mapping[int, Mapping[int, Rule]] = {
    EBML: {
        **_rules(Rule.NUMBER, 0x4286, 0x42F7, 0x42F2, 0x42F3, 0x4287, 0x4285),
        **_rules(Rule.SPECIAL, DOC_TYPE),
    },
    SEGMENT: {
        **_rules(Rule.PARENT, SEEK_HEAD, INFO, TRACKS, CLUSTER, CUES),
        **_rules(Rule.GOES, CHAPTERS, ATTACHMENTS, TAGS),
    },
    SEEK_HEAD: _rules(Rule.PARENT, SEEK),
    SEEK: _rules(Rule.NUMBER, SEEK_ID, SEEK_POSITION),
    INFO: {
        **_rules(Rule.NUMBER, 0x2AD7B1, 0x4489),
        **_rules(Rule.TEXT, 0x4D80, 0x5741),
        **_rules(Rule.GOES, 0x73A4, 0x7384, 0x3CB923, 0x3C83AB, 0x3EB923, 0x3E83BB, 0x4444, 0x6924, 0x4461, 0x7BA9),
    },
    TRACKS: _rules(Rule.PARENT, TRACK_ENTRY),
    TRACK_ENTRY: {
        **_rules(Rule.NUMBER, TRACK_NUMBER, TRACK_TYPE, 0xB9, 0x88, 0x55AA, 0x9C, 0x6DE7, 0x6DF8, 0x23E383, 0x234E7A),
        **_rules(Rule.NUMBER, 0x23314F, 0x55EE, 0xAA, 0x56AA, 0x56BB, 0x537F),
        **_rules(Rule.GOES, 0x55AB, 0x55AC, 0x55AD, 0x55AE, 0x55AF, 0x536E, 0x22B59D, 0x258688, 0x7446, 0x41E4),
        **_rules(Rule.GOES, 0x3A9697, 0x3B4040, 0x26B240, 0x6FAB),
        **_rules(Rule.SPECIAL, TRACK_UID, 0x22B59C, CODEC_ID, CODEC_PRIVATE),
        **_rules(Rule.PARENT, VIDEO, AUDIO),
    },
    VIDEO: {
        **_rules(Rule.NUMBER, 0x9A, 0x9D, 0x53B8, 0x53C0, 0x53B9, 0xB0, 0xBA, 0x54AA, 0x54BB, 0x54CC, 0x54DD, 0x54B0),
        **_rules(Rule.NUMBER, 0x54BA, 0x54B2, 0x54B3, 0x2FB523, 0x2383E3),
        **_rules(Rule.PARENT, COLOUR),
    },
    COLOUR: {
        **_rules(Rule.NUMBER, 0x55B1, 0x55B2, 0x55B3, 0x55B4, 0x55B5, 0x55B6, 0x55B7, 0x55B8, 0x55B9, 0x55BA, 0x55BB),
        **_rules(Rule.NUMBER, 0x55BC, 0x55BD),
        **_rules(Rule.PARENT, MASTERING),
    },
    MASTERING: _rules(Rule.NUMBER, *range(0x55D1, 0x55DB)),
    AUDIO: _rules(Rule.NUMBER, 0xB5, 0x78B5, 0x9F, 0x6264, 0x52F1),
    CLUSTER: {
        **_rules(Rule.NUMBER, 0xE7, 0xA7, 0xAB),
        **_rules(Rule.GOES, 0x5854),
        **_rules(Rule.SAMPLES, SIMPLE_BLOCK),
        **_rules(Rule.PARENT, BLOCK_GROUP),
    },
    BLOCK_GROUP: {
        **_rules(Rule.SAMPLES, BLOCK),
        **_rules(Rule.NUMBER, 0x9B, 0xFA, 0x75A2),
        **_rules(Rule.NUMBERS, 0xFB),
        **_rules(Rule.PARENT, BLOCK_ADDITIONS),
        **_rules(Rule.GOES, 0x8E),
    },
    BLOCK_ADDITIONS: _rules(Rule.PARENT, BLOCK_MORE),
    BLOCK_MORE: {**_rules(Rule.NUMBER, BLOCK_ADD_ID), **_rules(Rule.SPECIAL, BLOCK_ADDITIONAL)},
    CUES: _rules(Rule.PARENT, CUE_POINT),
    CUE_POINT: {**_rules(Rule.NUMBER, 0xB3), **_rules(Rule.PARENT, CUE_POSITIONS)},
    CUE_POSITIONS: _rules(Rule.NUMBER, CUE_TRACK, 0xF1, 0xF0, 0xB2, 0x5378),
}

#: What stood in an element that goes.
GROUPS: Mapping[int, TagGroup] = {
    0x4461: TagGroup.DATES,
    0x7BA9: TagGroup.TITLE,
    0x536E: TagGroup.TITLE,
    0x7384: TagGroup.FILE_NAMES,
    0x3C83AB: TagGroup.FILE_NAMES,
    0x3E83BB: TagGroup.FILE_NAMES,
    TAGS: TagGroup.COMMENT,
    CHAPTERS: TagGroup.SIDE_TRACK,
    ATTACHMENTS: TagGroup.COVER,
}


class Element(NamedTuple):
    """``length`` is None where the element does not say it; ``start`` is its first byte.

    A tuple, because a film has hundreds of thousands of them and a tuple is made in a third of the time.
    """

    id: int
    start: int
    body_start: int
    length: int | None

    @property
    def whole(self) -> Span:
        return Span(start=self.start, length=self.body_start + (self.length or 0) - self.start)

    @property
    def end(self) -> int:
        return self.body_start + (self.length or 0)


def read_element(source: Source, at: int, end: int) -> Element:
    """The element that begins at ``at``, inside of what ends at ``end``."""
    head = source.read(at, min(12, end - at))
    id_length = 9 - head[0].bit_length() if head else 9
    if id_length > _LONGEST_ID or len(head) <= id_length:
        raise not_clean("bytes stand between the elements")
    size_length = 9 - head[id_length].bit_length()
    body = id_length + size_length
    if size_length > _LONGEST_SIZE or len(head) < body:
        raise not_clean("an element does not say how long it is")
    unknown = (1 << 7 * size_length) - 1
    length = int.from_bytes(head[id_length:body], "big") & unknown
    body += at
    if length == unknown:
        return Element(int.from_bytes(head[:id_length], "big"), at, body, None)
    if body + length > end:
        raise not_clean("an element is longer than the one it stands in")
    return Element(int.from_bytes(head[:id_length], "big"), at, body, length)


def emptied(place: Span) -> Edit:
    """The same room, taken by an element that says nothing; a length of eight bytes leaves none unsaid."""
    if place.length < 2 + 0x7F:
        return Edit(place=place, parts=(bytes((VOID, 0x80 | place.length - 2)), Zeros(length=place.length - 2)))
    length = place.length - 9
    return Edit(place=place, parts=(bytes((VOID,)) + (1 << 56 | length).to_bytes(8, "big"), Zeros(length=length)))
