"""HEIC and AVIF: one picture with its tiles and its transparency is put into a new file, and all else stays behind."""

from collections import defaultdict
from collections.abc import Iterator
from functools import partial
from pathlib import Path

from consent_proxy.adapters.media.boxes import FileBox, boxes_of_file
from consent_proxy.adapters.media.exif import reduce_exif
from consent_proxy.adapters.media.heif_file import KeptItem, built
from consent_proxy.adapters.media.heif_items import IN_FILE, IN_TABLE, Contents, Item, read_contents
from consent_proxy.adapters.media.heif_properties import ALPHA_NAMES, auxiliary_name, clean_property, removed_group
from consent_proxy.adapters.media.heif_samples import av1_units, check_derivation, hevc_units
from consent_proxy.adapters.media.pieces import Emit, Piece, mapped
from consent_proxy.adapters.media.spans import Span, opened
from consent_proxy.adapters.media.tags import TagGroup, not_clean

_HEVC, _AV1 = b"hvc1", b"av01"
_CONFIGS = {_HEVC: b"hvcC", _AV1: b"av1C"}
_DERIVED = frozenset({b"grid", b"iovl", b"iden"})
_REFERENCES = frozenset({b"dimg", b"auxl", b"prem"})
_LONGEST_CONTENTS = 16 << 20
_LONGEST_EXIF = 1 << 20
_MOST_UNITS, _MOST_AREAS = 100_000, 64

_BRANDS = frozenset(
    brand.encode()
    for brand in "mif1 mif2 miaf heic heix heim heis avif avio MA1A MA1B MiHE MiHA MiHB MiPr".split()  # noqa: SIM905
)
_BOXES = {
    b"mpvd": TagGroup.MOTION_CLIP,
    b"uuid": TagGroup.PROVENANCE,
    b"jumb": TagGroup.PROVENANCE,
    b"free": TagGroup.TECHNICAL,
    b"skip": TagGroup.TECHNICAL,
}


def _strip(source: Path, emit: Emit, *, codec: bytes) -> frozenset[TagGroup]:
    with opened(source) as file:
        boxes = list(boxes_of_file(file))
    picture = _Picture(mapped(source), boxes, codec)
    for piece in picture.pieces():
        emit(piece)
    return frozenset(picture.removed)


strip_heic = partial(_strip, codec=_HEVC)
strip_avif = partial(_strip, codec=_AV1)


class _Picture:
    """The primary item of a file, and what is needed to show it."""

    def __init__(self, content: memoryview, boxes: list[FileBox], codec: bytes) -> None:
        self._content = content
        self._codec = codec
        self._cleaned: dict[int, bytes | None] = {}  # properties by their index
        self._units_left = _MOST_UNITS
        self.removed: set[TagGroup] = set()
        self._brands = _brands(content, boxes)
        self._contents = _read(content, boxes)
        self._pixels = [box.body for box in boxes if box.kind == b"mdat"]
        if len(self._pixels) > _MOST_AREAS:
            raise not_clean("the file has more places for pictures than any picture needs")
        self.removed |= {
            _BOXES.get(box.kind, TagGroup.UNKNOWN)
            for box in boxes
            if box.kind not in {b"ftyp", b"meta", b"mdat"} and box.body.length
        }

    def pieces(self) -> Iterator[Piece]:
        """The new file. Nothing is handed on before all of it is known."""
        needed = _needed(self._contents)
        kept = [item for item in self._contents.items.values() if item.id in needed]
        removed = [item for item in self._contents.items.values() if item.id not in needed]
        for item in kept:
            self._check_kind(item)
        if sum(part.length for item in kept for part in item.extents) > len(self._content):
            raise not_clean("the pictures say that they are larger than the file")
        _check_apart(kept, removed)
        self._name(removed)
        numbers = {item.id: number for number, item in enumerate(kept, start=1)}
        return iter(
            built(
                brands=self._brands,
                primary=numbers[self._contents.primary],
                items=[self._kept(item, numbers) for item in kept],
            )
        )

    def _kept(self, item: Item, numbers: dict[int, int]) -> KeptItem:
        properties = list(self._properties(item))
        return KeptItem(
            kind=item.kind,
            is_hidden=item.is_hidden,
            in_table=item.method == IN_TABLE,
            data=self._data(item, [(kind, body) for kind, body, _ in properties]),
            properties=properties,
            references={
                kind: [numbers[target] for target in targets if target in numbers]
                for kind, targets in sorted(item.references.items())
            },
        )

    def _properties(self, item: Item) -> Iterator[tuple[bytes, bytes, bool]]:
        """Each kept property, and whether it is essential."""
        for said in item.properties:
            kind, body = self._contents.properties[said.index - 1]
            if said.index not in self._cleaned:
                self._cleaned[said.index] = clean_property(kind, body)
            cleaned = self._cleaned[said.index]
            if cleaned is not None:
                yield kind, cleaned, said.is_essential
                if cleaned != body:
                    self.removed.add(TagGroup.TECHNICAL)
            elif said.is_essential:
                raise not_clean("the picture has an essential property that is not known")
            else:
                self.removed.add(removed_group(kind))

    def _data(self, item: Item, properties: list[tuple[bytes, bytes]]) -> list[Piece]:
        """The item's bytes without messages and padding; for a derived one, how it is made of others."""
        sample = self._sample(item)
        if item.kind != self._codec:
            check_derivation(item.kind, bytes(sample), inputs=len(item.references.get(b"dimg", ())))
            return [sample]
        configs = [body for kind, body in properties if kind == _CONFIGS[item.kind]]
        if len(configs) != 1:
            raise not_clean("a coded picture has no decoder configuration, or more than one")
        units = hevc_units(sample, (configs[0][21] & 3) + 1) if item.kind == _HEVC else av1_units(sample)
        kept: list[Piece] = []
        for unit, is_kept in units:
            self._units_left -= 1
            if self._units_left < 0:
                raise not_clean("the pictures are cut into more units than any picture needs")
            if is_kept:
                kept.append(unit)
            else:
                self.removed.add(TagGroup.TECHNICAL)
        if not kept:
            raise not_clean("a coded picture is empty")
        return kept

    def _sample(self, item: Item) -> memoryview:
        if item.method == IN_TABLE:
            whole, areas = memoryview(self._contents.inner), [Span(start=0, length=len(self._contents.inner))]
        elif item.method == IN_FILE:
            whole, areas = self._content, self._pixels
        else:
            raise not_clean("a picture's bytes stand in another item")
        if not all(any(area.start <= part.start and part.end <= area.end for area in areas) for part in item.extents):
            raise not_clean("a picture's bytes stand where no pictures are")
        parts = [whole[part.start : part.end] for part in item.extents]
        return parts[0] if len(parts) == 1 else memoryview(b"".join(parts))

    def _check_kind(self, item: Item) -> None:
        if item.kind not in {self._codec, *_DERIVED} or not item.is_plain:
            raise not_clean("a picture is of a coding that is not known here, protected, or in another file")
        if not item.references.keys() <= _REFERENCES or (b"dimg" in item.references) is not (item.kind in _DERIVED):
            raise not_clean("a picture needs another one in a way that is not known")

    def _name(self, removed: list[Item]) -> None:
        if self._contents.has_others:
            self.removed.add(TagGroup.TECHNICAL)
        for item in removed:
            self.removed |= self._groups(item)

    def _groups(self, item: Item) -> set[TagGroup]:
        """What an item that is not kept was."""
        if item.kind == b"Exif":
            return self._exif_groups(item)
        if item.kind == b"mime":
            return {TagGroup.EDITING if item.content_type == b"application/rdf+xml" else TagGroup.UNKNOWN}
        if b"thmb" in item.references:
            return {TagGroup.THUMBNAIL}
        if b"auxl" in item.references or item.kind == b"tmap":
            return {TagGroup.DEPTH_MAP}
        is_picture = item.kind in {_HEVC, _AV1, b"jpeg", b"avc1", *_DERIVED}
        return {TagGroup.SECOND_PICTURE if is_picture else TagGroup.UNKNOWN}

    def _exif_groups(self, item: Item) -> set[TagGroup]:
        if item.method != IN_FILE or sum(part.length for part in item.extents) > _LONGEST_EXIF:
            return {TagGroup.UNKNOWN}
        block = b"".join(self._content[part.start : part.end] for part in item.extents)
        return {*reduce_exif(block[4 + int.from_bytes(block[:4]) :]).groups}


def _brands(content: memoryview, boxes: list[FileBox]) -> bytes:
    """The file's kind, with the brands that we know; those of sequences go with their sequence."""
    kinds = [box.kind for box in boxes]
    if b"moov" in kinds:
        raise not_clean("the file holds a sequence of pictures")
    if kinds[0] != b"ftyp" or kinds.count(b"ftyp") > 1:
        raise not_clean("the file says more than once what it is")
    span = boxes[0].body
    body = bytes(content[span.start : span.end])
    brands = [body[at : at + 4] for at in range(8, len(body) - 3, 4)]
    if body[:4] not in _BRANDS:
        raise not_clean("the file holds a sequence of pictures")
    return body[:4] + bytes(4) + b"".join(dict.fromkeys(brand for brand in brands if brand in _BRANDS))


def _read(content: memoryview, boxes: list[FileBox]) -> Contents:
    tables = [box.body for box in boxes if box.kind == b"meta"]
    if len(tables) != 1 or tables[0].length > _LONGEST_CONTENTS:
        raise not_clean("the file has no table of contents, or more than one")
    return read_contents(bytes(content[tables[0].start : tables[0].end]))


def _needed(contents: Contents) -> set[int]:
    """The primary picture, all it is made of, and the transparency of any of them."""
    if contents.primary not in contents.items:
        raise not_clean("the file has no primary picture")
    alphas = _alphas(contents)
    needed, waiting = set[int](), [contents.primary]
    while waiting:
        number = waiting.pop()
        if number not in needed:
            needed.add(number)
            waiting += contents.items[number].references.get(b"dimg", [])
            waiting += alphas[number]
    return needed


def _alphas(contents: Contents) -> defaultdict[int, list[int]]:
    """The transparencies of each item."""
    names = [auxiliary_name(kind, body) for kind, body in contents.properties]
    alphas = defaultdict[int, list[int]](list)
    for item in contents.items.values():
        if any(names[said.index - 1] in ALPHA_NAMES for said in item.properties):
            for target in item.references.get(b"auxl", []):
                alphas[target].append(item.id)
    return alphas


def _check_apart(kept: list[Item], removed: list[Item]) -> None:
    """Raise where what is kept and what is not share bytes: one of them is not what it says."""
    for method in (IN_FILE, IN_TABLE):
        spans = sorted(
            (part.start, part.end, is_kept)
            for items, is_kept in ((kept, True), (removed, False))
            for item in items
            if item.method == method
            for part in item.extents
        )
        reach = {True: 0, False: 0}
        for start, end, is_kept in spans:
            if start < reach[not is_kept] and end > start:
                raise not_clean("a picture shares bytes with something that is not kept")
            reach[is_kept] = max(reach[is_kept], end)
