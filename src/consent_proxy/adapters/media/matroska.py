"""WebM: the same file with everything emptied in its place that no player needs, so that no offset moves.

Kept: the header; the time scale and duration; video and sound tracks with their measures, colours and codec's
settings; clusters with the blocks of those tracks, byte for byte; cues and the head that finds them.
Removed, which leaves zeros of the same length: tags, attachments, chapters, titles, dates, file names, unique ids,
names and languages of tracks, the names of the programs, the comments inside Vorbis settings, checksums, padding, and
subtitle and metadata tracks with their blocks.
Refused: another document type than WebM, codecs other than VP8, VP9, AV1, Vorbis and Opus, encryption and other
content encodings, elements that are not known here or stand where they may not, blocks of no track, a second segment,
bytes behind the segment, a file without video.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path

from consent_proxy.adapters.media import matroska_elements as el
from consent_proxy.adapters.media.codec_configs import clean_av1, clean_opus
from consent_proxy.adapters.media.matroska_elements import Element, Rule, emptied, read_element
from consent_proxy.adapters.media.pieces import Emit
from consent_proxy.adapters.media.spans import Edit, Source, Span, edited, hand_on, opened
from consent_proxy.adapters.media.tags import TagGroup, not_clean

#: An hour and a half of video and sound has about as many blocks.
_MOST_ELEMENTS = 500_000
_MOST_EDITS = 50_000
_LONGEST_NUMBER = 8
_LONGEST_SETTINGS = 64 * 1024
_VIDEO, _SOUND = 1, 2
_KEPT = frozenset({_VIDEO, _SOUND})
_ANYWHERE = frozenset({el.VOID, el.CRC})
_MANY = frozenset({Rule.PARENT, Rule.NUMBERS, Rule.GOES})
_ALPHA = 1
_NO_LANGUAGE = b"und"


@dataclass(slots=True)
class _Walk:
    """The one pass over the file: what it has learned so far, and what is to be emptied."""

    source: Source
    edits: list[Edit] = field(default_factory=list)
    removed: set[TagGroup] = field(default_factory=set)
    kinds: dict[int, int] = field(default_factory=dict)
    seen: int = 0

    def read(self, element: Element, *, most: int = _LONGEST_SETTINGS) -> bytes:
        if (element.length or 0) > most:
            raise not_clean("an element is longer than what it says can be")
        return self.source.read(element.body_start, element.length or 0)

    def number(self, element: Element) -> int:
        return int.from_bytes(self.read(element, most=_LONGEST_NUMBER), "big")

    def empty(self, element: Element, group: TagGroup = TagGroup.TECHNICAL) -> None:
        """Leave zeros in the element's place; an empty element of nothing but zeros is left as it is."""
        if element.id == el.VOID:
            body = Span(start=element.body_start, length=element.length or 0)
            if not any(any(block) for block in self.source.blocks(body)):
                return
            group = TagGroup.UNKNOWN
        self._edit(emptied(element.whole), group)

    def replace(self, element: Element, body: bytes, group: TagGroup) -> None:
        """Write another body of the same length."""
        if body != self.read(element):
            self._edit(Edit(place=Span(start=element.body_start, length=len(body)), parts=(body,)), group)

    def _edit(self, edit: Edit, group: TagGroup) -> None:
        if len(self.edits) == _MOST_EDITS:
            raise not_clean(f"more than {_MOST_EDITS} elements of the file would have to be emptied")
        self.removed.add(group)
        self.edits.append(edit)


def strip_webm(path: Path, emit: Emit) -> frozenset[TagGroup]:
    with opened(path) as source:
        walk = _Walk(source)
        head = read_element(source, 0, source.size)
        if head.id != el.EBML or head.length is None:
            raise not_clean("the file does not begin with its header")
        _children(walk, head, head.end)
        segment = read_element(source, head.end, source.size)
        end = source.size if segment.length is None else segment.end
        if segment.id != el.SEGMENT or end != source.size:
            raise not_clean("bytes stand behind the segment, or it is none")
        _segment(walk, segment, end)
        if _VIDEO not in walk.kinds.values():
            raise not_clean("the file says that it is video, and holds none")
        edits = sorted(walk.edits, key=lambda edit: edit.place.start)
        hand_on(source, edited(Span(start=0, length=source.size), edits), emit)
        return frozenset(walk.removed)


def _segment(walk: _Walk, segment: Element, end: int) -> None:
    """The elements of the segment. A cluster that does not say how long it is ends where the next of them begins."""
    rules = el.RULES[el.SEGMENT]
    at, once = segment.body_start, set[int]()
    while at < end:
        element = _next(walk, at, end)
        rule = rules.get(element.id)
        if element.id in once or (rule is None and element.id not in {el.VOID, el.CRC}):
            raise not_clean("an element stands in the segment that may not, or not twice")
        if element.id in {el.INFO, el.TRACKS, el.CUES}:
            once.add(element.id)
        if element.id in {el.CLUSTER, el.CUES} and el.TRACKS not in once:
            raise not_clean("the tracks are described behind their samples")
        if rule is Rule.PARENT:
            at = _children(walk, element, _end_of(element, end))
        else:
            at = _end_of(element, element.start)
            walk.empty(element, el.GROUPS.get(element.id, TagGroup.TECHNICAL))
    if not once >= {el.INFO, el.TRACKS}:
        raise not_clean("the file does not describe its tracks")


def _end_of(element: Element, unknown: int) -> int:
    """Where the element ends; only a cluster may leave that open."""
    if element.length is not None:
        return element.end
    if element.id != el.CLUSTER:
        raise not_clean("an element does not say how long it is")
    return unknown


def _next(walk: _Walk, at: int, end: int) -> Element:
    walk.seen += 1
    if walk.seen > _MOST_ELEMENTS:
        raise not_clean(f"the file has more than {_MOST_ELEMENTS} elements")
    return read_element(walk.source, at, end)


def _children(walk: _Walk, parent: Element, end: int) -> int:
    """Walk what stands in ``parent`` up to ``end``, by the rules for it; returns where it ended."""
    rules = el.RULES[parent.id]
    is_open = parent.length is None
    numbers: set[int] = set()
    at = parent.body_start
    while at < end:
        element = _next(walk, at, end)
        if is_open and element.id in el.TOP_LEVEL:
            return at
        rule = Rule.GOES if element.id in _ANYWHERE else rules.get(element.id)
        if rule is None or element.length is None:
            raise not_clean("an element is not known here, stands where it may not, or does not say how long it is")
        at = element.body_start + element.length
        if rule is Rule.SAMPLES:
            if _track_of(walk, element) not in _KEPT:
                walk.empty(element, TagGroup.SIDE_TRACK)
            continue
        if rule not in _MANY and element.id in numbers:
            raise not_clean("an element stands twice where it may stand once")
        numbers.add(element.id)
        _apply(walk, rule, element)
    return at


def _apply(walk: _Walk, rule: Rule, element: Element) -> None:
    match rule:
        case Rule.PARENT:
            _PARENTS.get(element.id, _children)(walk, element, element.end)
        case Rule.NUMBER | Rule.NUMBERS:
            if (element.length or 0) > _LONGEST_NUMBER:
                raise not_clean("a number is longer than a number can be")
        case Rule.TEXT:
            walk.replace(element, b" " * (element.length or 0), TagGroup.EDITING)
        case Rule.SAMPLES:
            raise AssertionError("blocks are the walk's own business")
        case Rule.SPECIAL:
            _SPECIAL[element.id](walk, element)
        case Rule.GOES:
            walk.empty(element, el.GROUPS.get(element.id, TagGroup.TECHNICAL))


def _found(walk: _Walk, parent: Element) -> dict[int, Element]:
    """The elements in ``parent`` by their ids; of several with one id the last."""
    found: dict[int, Element] = {}
    at = parent.body_start
    while at < parent.end:
        element = _next(walk, at, parent.end)
        if element.length is None:
            raise not_clean("an element does not say how long it is")
        found[element.id] = element
        at = element.end
    return found


def _seek(walk: _Walk, seek: Element, end: int) -> int:
    """An entry of the head goes with the element that it finds."""
    wanted = _found(walk, seek).get(el.SEEK_ID)
    if wanted is None or walk.number(wanted) not in {el.SEEK_HEAD, el.INFO, el.TRACKS, el.CUES, el.CLUSTER}:
        walk.empty(seek)
        return end
    return _children(walk, seek, end)


def _track(walk: _Walk, entry: Element, end: int) -> int:
    """A track of video or sound is cleaned; any other goes, and is remembered so that its blocks go too."""
    found = _found(walk, entry)
    if not found.keys() >= {el.TRACK_NUMBER, el.TRACK_TYPE, el.CODEC_ID}:
        raise not_clean("a track does not say what it is")
    number, kind = walk.number(found[el.TRACK_NUMBER]), walk.number(found[el.TRACK_TYPE])
    if number in walk.kinds or not 0 < number < 0x7F:  # noqa: PLR2004 - a block names its track in one byte
        raise not_clean("two tracks have the same number, or one has none")
    walk.kinds[number] = kind
    if kind not in _KEPT:
        walk.empty(entry, TagGroup.SIDE_TRACK)
        return end
    _check_settings(walk, kind, found)
    if (uid := found.get(el.TRACK_UID)) and uid.length:
        walk.replace(uid, number.to_bytes(uid.length, "big"), TagGroup.TECHNICAL)
    return _children(walk, entry, end)


def _check_settings(walk: _Walk, kind: int, found: Mapping[int, Element]) -> None:
    codec = walk.read(found[el.CODEC_ID]).rstrip(b"\x00")
    if codec not in _CODECS[kind]:
        raise not_clean("a track is of a codec that WebM does not have")
    settings = found.get(el.CODEC_PRIVATE)
    if settings is None or not settings.length:
        return
    body = walk.read(settings)
    cleaned = _CODECS[kind][codec](body)
    if len(cleaned) != len(body):
        raise not_clean("a codec's settings hold more than it needs")
    walk.replace(settings, cleaned, TagGroup.COMMENT)


def _no_settings(body: bytes) -> bytes:
    if body:
        raise not_clean("a codec has settings that does not need any")
    return body


def _clean_vp9(body: bytes) -> bytes:
    """Profile, level, bit depth and subsampling: each a number, its length one, and a value."""
    if len(body) % 3 or len(body) > 12 or any(length != 1 for length in body[1::3]):  # noqa: PLR2004
        raise not_clean("a codec's settings are not built as their format says")
    return body


def _clean_opus_head(body: bytes) -> bytes:
    if body[:8] != b"OpusHead":
        raise not_clean("a codec's settings are not built as their format says")
    return b"OpusHead" + clean_opus(body[8:])


def _clean_vorbis(body: bytes) -> bytes:
    """Three headers behind each other; the middle one is the comments, and says nothing afterwards (Vorbis I, 5)."""
    sizes, at = [], 1
    for _ in range(2):
        size = 0
        while at < len(body) and body[at] == 0xFF:  # noqa: PLR2004 - lacing goes on
            size, at = size + 0xFF, at + 1
        sizes.append(size + body[at] if at < len(body) else len(body))
        at += 1
    first, comments = body[at : at + sizes[0]], body[at + sizes[0] : at + sum(sizes)]
    setup = body[at + sum(sizes) :]
    if body[:1] != b"\x02" or (first[:7], comments[:7], setup[:7]) != (b"\x01vorbis", b"\x03vorbis", b"\x05vorbis"):
        raise not_clean("a codec's settings are not built as their format says")
    if len(first) != 30 or len(comments) < 16:  # noqa: PLR2004 - Vorbis I, 4.2.2 and 5.2.1
        raise not_clean("a codec's settings are not built as their format says")
    name = len(comments) - 16
    return body[:at] + first + comments[:7] + name.to_bytes(4, "little") + b" " * name + bytes(4) + b"\x01" + setup


_CODECS: Mapping[int, Mapping[bytes, Callable[[bytes], bytes]]] = {
    _VIDEO: {b"V_VP8": _no_settings, b"V_VP9": _clean_vp9, b"V_AV1": clean_av1},
    _SOUND: {b"A_VORBIS": _clean_vorbis, b"A_OPUS": _clean_opus_head},
}


def _language(walk: _Walk, language: Element) -> None:
    """Without one it would be English; so it becomes undetermined where there is room for that."""
    length = language.length or 0
    if length < len(_NO_LANGUAGE):
        walk.empty(language)
    else:
        walk.replace(language, _NO_LANGUAGE.ljust(length, b"\x00"), TagGroup.TECHNICAL)


def _group(walk: _Walk, group: Element, end: int) -> int:
    """A block with what belongs to it; it goes with its track."""
    found = _found(walk, group)
    if el.BLOCK not in found:
        raise not_clean("a group of blocks holds none")
    kind = _track_of(walk, found[el.BLOCK])
    if kind not in _KEPT:
        walk.empty(group, TagGroup.SIDE_TRACK)
        return end
    if el.BLOCK_ADDITIONS in found and kind != _VIDEO:
        raise not_clean("a block of sound has something added to it")
    return _children(walk, group, end)


def _addition(walk: _Walk, more: Element, end: int) -> int:
    """Transparency is part of the picture; whatever else may be added to a block is not."""
    number = _found(walk, more).get(el.BLOCK_ADD_ID)
    if number is not None and walk.number(number) != _ALPHA:
        raise not_clean("a block has something added to it that is not known here")
    return _children(walk, more, end)


def _cue(walk: _Walk, cue: Element, end: int) -> int:
    track = _found(walk, cue).get(el.CUE_TRACK)
    if track is None or walk.kinds.get(walk.number(track)) not in _KEPT:
        walk.empty(cue)
        return end
    return _children(walk, cue, end)


def _track_of(walk: _Walk, block: Element) -> int:
    """The kind of the track that a block belongs to."""
    if (block.length or 0) < 4:  # noqa: PLR2004 - a block's header
        raise not_clean("a block is shorter than its header")
    head = walk.source.read(block.body_start, 1)[0]
    kind = walk.kinds.get(head & 0x7F) if head & 0x80 else None
    if kind is None:
        raise not_clean("a block belongs to no track")
    return kind


def _doc_type(walk: _Walk, element: Element) -> None:
    if walk.read(element).rstrip(b"\x00") != b"webm":
        raise not_clean("the file is Matroska, and not WebM")


def _looked_at(walk: _Walk, element: Element) -> None:
    """Kept: the track's walk has looked at it."""


_Handler = Callable[[_Walk, Element, int], int]
_PARENTS: Mapping[int, _Handler] = {
    el.SEEK: _seek,
    el.TRACK_ENTRY: _track,
    el.BLOCK_GROUP: _group,
    el.BLOCK_MORE: _addition,
    el.CUE_POSITIONS: _cue,
}
_SPECIAL: Mapping[int, Callable[[_Walk, Element], None]] = {
    el.DOC_TYPE: _doc_type,
    el.TRACK_UID: _looked_at,
    el.CODEC_ID: _looked_at,
    el.CODEC_PRIVATE: _looked_at,
    el.BLOCK_ADDITIONAL: _looked_at,
    0x22B59C: _language,
}
