"""Metadata of every kind that a picture can carry, each value with a mark in it, so that what is left can be found."""

import struct
from io import BytesIO

from PIL import Image, ImageCms

#: Stands in every value that has to go; in both of the ways in which text is written.
MARK = b"Mia-Mustermann-4711"
WIDE_MARK = MARK.decode().encode("utf-16-be")
LITTLE_MARK = MARK.decode().encode("utf-16-le")
MARKS = (MARK, WIDE_MARK, LITTLE_MARK, MARK[::-1])

SIDEWAYS = 6

_ASCII, _SHORT, _LONG, _RATIONAL, _UNDEFINED = 2, 3, 4, 5, 7
_UNIT = {_ASCII: 1, _SHORT: 2, _LONG: 4, _RATIONAL: 8, _UNDEFINED: 1}

Entry = tuple[int, int, bytes]


def directory(entries: list[Entry], *, at: int, following: int = 0) -> bytes:
    """A TIFF directory that stands at ``at``, its long values behind it."""
    table, values = struct.pack(">H", len(entries)), b""
    start = at + 2 + 12 * len(entries) + 4
    for tag, kind, value in sorted(entries):
        count = len(value) // _UNIT[kind]
        if len(value) <= 4:
            place = value.ljust(4, b"\x00")
        else:
            place = struct.pack(">I", start + len(values))
            values += value + bytes(len(value) % 2)
        table += struct.pack(">HHI", tag, kind, count) + place
    return table + struct.pack(">I", following) + values


def text(name: str = "") -> bytes:
    return name.encode() + MARK + b"\x00"


def short(value: int) -> bytes:
    return struct.pack(">H", value)


def long(value: int) -> bytes:
    return struct.pack(">I", value)


def exif_block(*, orientation: int = SIDEWAYS) -> bytes:
    """EXIF as a phone writes it: place, serial numbers, owner, dates, maker's note, comments and a thumbnail."""
    degrees = struct.pack(">IIIIII", 52, 1, 31, 1, 1234, 100)
    thumbnail = small_jpeg(comment=MARK)

    def layout(exif_at: int, gps_at: int, second_at: int) -> list[bytes]:
        main = directory(
            [
                (0x010E, _ASCII, text("description ")),
                (0x010F, _ASCII, text("make ")),
                (0x0110, _ASCII, text("model ")),
                (0x0112, _SHORT, short(orientation)),
                (0x011A, _RATIONAL, struct.pack(">II", 72, 1)),
                (0x0131, _ASCII, text("software ")),
                (0x0132, _ASCII, b"2026:11:25 12:00:00\x00"),
                (0x013B, _ASCII, text("artist ")),
                (0x8298, _ASCII, text("copyright ")),
                (0x8769, _LONG, long(exif_at)),
                (0x8825, _LONG, long(gps_at)),
                (0x9C9D, _UNDEFINED, LITTLE_MARK + b"\x00\x00"),
            ],
            at=8,
            following=second_at,
        )
        exif = directory(
            [
                (0x9003, _ASCII, b"2026:11:25 12:00:00\x00"),
                (0x9011, _ASCII, b"+01:00\x00"),
                (0x927C, _UNDEFINED, b"Apple iOS\x00\x00\x01MM" + MARK),
                (0x9286, _UNDEFINED, b"ASCII\x00\x00\x00" + MARK),
                (0xA420, _ASCII, text("unique id ")),
                (0xA430, _ASCII, text("owner ")),
                (0xA431, _ASCII, text("body serial ")),
                (0xA435, _ASCII, text("lens serial ")),
            ],
            at=exif_at,
        )
        gps = directory(
            [
                (1, _ASCII, b"N\x00"),
                (2, _RATIONAL, degrees),
                (3, _ASCII, b"E\x00"),
                (4, _RATIONAL, degrees),
                (0x1B, _UNDEFINED, b"ASCII\x00\x00\x00" + MARK),
                (0x1D, _ASCII, b"2026:11:25\x00"),
            ],
            at=gps_at,
        )
        second = directory(
            [(0x0103, _SHORT, short(6)), (0x0201, _LONG, long(second_at + 42)), (0x0202, _LONG, long(len(thumbnail)))],
            at=second_at,
        )
        return [main, exif, gps, second, thumbnail]

    places = [0, 0, 0]
    for _ in range(2):
        parts = layout(*places)
        ends = [8]
        for part in parts:
            ends.append(ends[-1] + len(part))
        places = ends[1:4]
    return b"MM\x00*" + long(8) + b"".join(layout(*places))


def xmp_packet() -> bytes:
    return (
        b'<?xpacket begin="" id="W5M0MpCehiHzreSzNTczkc9d"?><x:xmpmeta xmlns:x="adobe:ns:meta/">'
        b'<rdf:RDF xmlns:rdf="http://www.w3.org/1999/02/22-rdf-syntax-ns#"><rdf:Description rdf:about="" '
        b'xmlns:dc="http://purl.org/dc/elements/1.1/" xmlns:exif="http://ns.adobe.com/exif/1.0/" '
        b'exif:GPSLatitude="52,31.0N" dc:creator="' + MARK + b'"/></rdf:RDF></x:xmpmeta><?xpacket end="w"?>'
    )


def iptc_block() -> bytes:
    """Photoshop's resources with a by-line, a city and a caption of IPTC."""
    records = b"".join(struct.pack(">BBBH", 0x1C, 2, kind, len(MARK)) + MARK for kind in (80, 90, 120))
    return (
        b"Photoshop 3.0\x008BIM\x04\x04\x00\x00" + struct.pack(">I", len(records)) + records + bytes(len(records) % 2)
    )


def jumbf_box() -> bytes:
    """A box as C2PA writes it."""
    label = b"c2pa\x00\x11\x00\x10\x80\x00\x00\xaa\x00\x38\x9b\x71\x03c2pa\x00"
    description = struct.pack(">I4s", 8 + len(label), b"jumd") + label
    claim = struct.pack(">I4s", 8 + len(MARK), b"json") + MARK
    return struct.pack(">I4s", 8 + len(description) + len(claim), b"jumb") + description + claim


def small_jpeg(*, comment: bytes = b"") -> bytes:
    file = BytesIO()
    Image.linear_gradient("L").resize((32, 24)).save(file, "JPEG", comment=comment)
    return file.getvalue()


def colour_profile(*, version: int = 4) -> bytes:
    """A profile that swaps two of sRGB's colours, so that losing it shows, with a name, dates and a device in it."""
    plain = ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB")).tobytes()
    (count,) = struct.unpack_from(">I", plain, 128)
    tags = dict[bytes, bytes]()
    for at in range(132, 132 + 12 * count, 12):
        signature, offset, size = struct.unpack_from(">4sII", plain, at)
        tags[signature] = plain[offset : offset + size]
    tags[b"rXYZ"], tags[b"gXYZ"] = tags[b"gXYZ"], tags[b"rXYZ"]
    wide = b"mluc" + bytes(4) + struct.pack(">II2s2sII", 1, 12, b"en", b"US", len(WIDE_MARK), 28) + WIDE_MARK
    plain_text = b"text" + bytes(4) + MARK + b"\x00"
    name = b"desc" + bytes(4) + struct.pack(">I", len(MARK) + 1) + MARK + bytes(79)
    tags |= {b"desc": wide, b"cprt": wide} if version == 4 else {b"desc": name, b"cprt": plain_text}
    tags |= {b"dmnd": tags[b"desc"], b"dscm": wide, b"mmod": b"mmod" + bytes(4) + MARK, b"calt": plain_text}
    table, body, start = struct.pack(">I", len(tags)), b"", 132 + 12 * len(tags)
    for signature, content in tags.items():
        table += struct.pack(">4sII", signature, start + len(body), len(content))
        body += content + bytes(-len(content) % 4)
    header = bytearray(plain[:128])
    header[0:4] = struct.pack(">I", start + len(body))
    header[8:10] = b"\x04\x30" if version == 4 else b"\x02\x10"
    header[48:56] = MARK[:8]
    header[80:84], header[84:100], header[100:119] = MARK[:4], MARK[:16], MARK
    return bytes(header) + table + body


def film() -> bytes:
    """The beginning of an MP4, as it stands behind the picture of a motion photo."""
    kind = b"mp42" + bytes(4) + b"isommp42"
    return struct.pack(">I4s", 8 + len(kind), b"ftyp") + kind + struct.pack(">I4s", 8 + len(MARK), b"mdat") + MARK
