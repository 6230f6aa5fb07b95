"""HEIF's table of contents, read strictly: the items in the file, where their bytes are, and what belongs to what."""

from collections.abc import Iterator
from dataclasses import dataclass, field

from consent_proxy.adapters.media.boxes import boxes_within
from consent_proxy.adapters.media.cursor import Cursor
from consent_proxy.adapters.media.spans import Span
from consent_proxy.adapters.media.tags import not_clean

#: What is read of a table of contents; all others in it are left out.
_TABLES = frozenset({b"hdlr", b"pitm", b"iinf", b"iloc", b"iref", b"iprp", b"idat"})
_MOST_ITEMS = 4096
_MOST_EXTENTS = 64 * 1024
IN_FILE, IN_TABLE = 0, 1


@dataclass(frozen=True, slots=True, kw_only=True)
class Property:
    """Something said of an item. ``index`` counts from one; ``is_essential`` when no reader may overlook it."""

    index: int
    is_essential: bool


@dataclass(slots=True, kw_only=True)
class Item:
    """A picture, or a part or a description of one. ``method`` is `IN_FILE`, `IN_TABLE` or one we do not read."""

    id: int
    kind: bytes
    content_type: bytes = b""
    is_hidden: bool = False
    is_plain: bool = True  # neither protected nor in another file
    method: int = IN_FILE
    extents: list[Span] = field(default_factory=list)
    properties: list[Property] = field(default_factory=list)
    references: dict[bytes, list[int]] = field(default_factory=dict)


@dataclass(frozen=True, slots=True, kw_only=True)
class Contents:
    """``properties`` are the boxes that items' properties point to, as their four letters and their bodies."""

    primary: int
    items: dict[int, Item]
    properties: list[tuple[bytes, bytes]]
    inner: bytes
    has_others: bool


def read_contents(meta: bytes) -> Contents:
    """Read the body of a file's ``meta`` box. Raises `MediaRefused` where it is not built as its format says."""
    tables: dict[bytes, bytes] = {}
    boxes = boxes_within(meta[4:])
    for kind, body in boxes:
        if kind in tables and kind in _TABLES:
            raise not_clean("the picture's table of contents has two tables of a kind")
        tables[kind] = body
    if not {b"hdlr", b"pitm", b"iinf", b"iloc", b"iprp"} <= tables.keys() or tables[b"hdlr"][8:12] != b"pict":
        raise not_clean("the picture's table of contents lacks a table, or is not one of pictures")
    items = {item.id: item for item in _items(tables[b"iinf"])}
    _read_places(tables[b"iloc"], items)
    _read_references(tables.get(b"iref", bytes(4)), items)
    return Contents(
        primary=_primary(tables[b"pitm"]),
        items=items,
        properties=_read_properties(tables[b"iprp"], items),
        inner=tables.get(b"idat", b""),
        has_others=any(kind not in _TABLES for kind, _ in boxes),
    )


def _primary(body: bytes) -> int:
    table = Cursor(body, "the primary item")
    primary = table.number(2 if table.number(4) >> 24 == 0 else 4)
    table.finish()
    return primary


def _items(body: bytes) -> Iterator[Item]:
    table = Cursor(body, "the list of items")
    count = table.number(2 if table.number(4) >> 24 == 0 else 4)
    entries = boxes_within(table.rest())
    if count != len(entries) or count > _MOST_ITEMS:
        raise table.unclear()
    seen: set[int] = set()
    for kind, entry in entries:
        item = _item(entry)
        if kind != b"infe" or item.id in seen:
            raise table.unclear()
        seen.add(item.id)
        yield item


def _item(body: bytes) -> Item:
    """An entry of version 2 or 3; its name, which is a text, is not looked at."""
    entry = Cursor(body, "an item's entry")
    head = entry.number(4)
    if head >> 24 not in {2, 3}:
        raise entry.unclear()
    number = entry.number(2 if head >> 24 == 2 else 4)  # noqa: PLR2004
    protection = entry.number(2)
    kind, texts = entry.take(4), entry.rest().split(b"\x00")
    return Item(
        id=number,
        kind=kind,
        content_type=texts[1] if kind == b"mime" and len(texts) > 1 else b"",
        is_hidden=bool(head & 1),
        is_plain=protection == 0,
    )


def _read_places(body: bytes, items: dict[int, Item]) -> None:
    table = Cursor(body, "the items' places")
    version = table.number(4) >> 24
    sizes = table.number(2)
    offset, length, start, index = (sizes >> shift & 15 for shift in (12, 8, 4, 0))
    if version > 2 or not {offset, start, index} <= {0, 4, 8} or length not in {4, 8}:  # noqa: PLR2004
        raise table.unclear()
    id_size = 4 if version == 2 else 2  # noqa: PLR2004
    extents_left = _MOST_EXTENTS
    seen: set[int] = set()
    for _ in range(table.number(id_size)):
        number = table.number(id_size)
        method = table.number(2) & 15 if version else IN_FILE
        is_elsewhere = table.number(2) != 0
        begin, extents = table.number(start), []
        count = table.number(2)
        extents_left -= count
        if number not in items or number in seen or extents_left < 0:
            raise table.unclear()
        for _ in range(count):
            table.take(index if version else 0)
            extents.append(Span(start=begin + table.number(offset), length=table.number(length)))
        seen.add(number)
        item = items[number]
        item.method, item.extents, item.is_plain = method, extents, item.is_plain and not is_elsewhere
    table.finish()


def _read_references(body: bytes, items: dict[int, Item]) -> None:
    table = Cursor(body, "the references between items")
    id_size = 2 if table.number(4) >> 24 == 0 else 4
    for kind, references in boxes_within(table.rest()):
        one = Cursor(references, "the references between items")
        item = items.get(one.number(id_size))
        targets = [one.number(id_size) for _ in range(one.number(2))]
        one.finish()
        if item is None or not items.keys() >= set(targets):
            raise one.unclear()
        item.references.setdefault(kind, []).extend(targets)


def _read_properties(body: bytes, items: dict[int, Item]) -> list[tuple[bytes, bytes]]:
    boxes = boxes_within(body)
    containers = [inner for kind, inner in boxes if kind == b"ipco"]
    if len(containers) != 1 or not {kind for kind, _ in boxes} <= {b"ipco", b"ipma"}:
        raise not_clean("the properties of the items are not built as their format says")
    properties = boxes_within(containers[0])
    for kind, inner in boxes:
        if kind == b"ipma":
            _read_associations(inner, items, most=len(properties))
    return properties


def _read_associations(body: bytes, items: dict[int, Item], *, most: int) -> None:
    table = Cursor(body, "the items' properties")
    head = table.number(4)
    id_size, size = (2 if head >> 24 == 0 else 4), (2 if head & 1 else 1)
    essential = 0x80 << 8 * (size - 1)
    for _ in range(table.number(4)):
        item = items.get(table.number(id_size))
        if item is None or item.properties:
            raise table.unclear()
        for _ in range(table.number(1)):
            value = table.number(size)
            index = value & (essential - 1)
            if index > most:
                raise table.unclear()
            if index:
                item.properties.append(Property(index=index, is_essential=bool(value & essential)))
    table.finish()
