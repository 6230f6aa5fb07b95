"""Whether free text is text and nothing else: no addresses of files, no files written out in letters."""

import re
import unicodedata

#: From how many characters on an unbroken run of the base64 alphabet counts as a file. The longest words people
#: write are far shorter, and languages written without blanks do not use the alphabet.
LONG_RUN = 256
#: The shortest line of a wrapped file that is counted with its neighbours (RFC 2045 wraps at 76).
_LINE_OF_RUN = 32
#: How many of a long run have to be letters or digits: a ruled line of dashes is no file.
_LETTERS_OF_RUN = LONG_RUN // 2

_CONTROL = re.compile(r"[\x00-\x08\x0b\x0c\x0e-\x1f]")
_RUN = re.compile(rf"[a-z0-9+/_-]{{{_LINE_OF_RUN},}}+={{0,2}}+")

#: Letters that a reader, or a lenient parser, takes for the ASCII ones an address is made of.
_LOOKALIKES = str.maketrans(
    dict.fromkeys("\u2044\u2215\u29f8\u2571", "/")
    | dict.fromkeys("\u2216\u29f9\u29f5\u2572", "\\")
    | dict.fromkeys("\u2236\ua789\u02d0\u05c3\u0589", ":")
    | dict.fromkeys("\u3002\u06d4", ".")
)
#: What is not seen when a text is shown: marks, joiners, fillers, private and unassigned characters.
_UNSEEN_CATEGORIES = frozenset({"Mn", "Me", "Cf", "Cc", "Cn", "Co", "Cs"})
_UNSEEN_LETTERS = frozenset("\u115f\u1160\u3164\uffa0\u2800")
_LINE_BREAKS = frozenset("\t\n\r")

_COLONS = (":", "%3a", "&#", "&colon;")
_SLASHES = ("/", "\\", "%2f", "%5c", "&#", "&sol;")
_WRAPPING_SCHEMES = ("blob", "filesystem", "jar", "view-source")
#: Without any of these no search for the address of a file finds one.
_PARTS_OF_A_FILE_URL = (*_SLASHES, *_WRAPPING_SCHEMES)
_COLON = r"(?::|%3a|&\#0*+58;?|&\#x0*+3a;?|&colon;)"
_SLASH = r"(?:[/\\]|%2f|%5c|&\#0*+47;?|&\#x0*+2f;?|&sol;)"
_ALONE = r"(?<![a-z0-9])"
_MEDIA_TYPES = (
    "application|audio|chemical|example|font|haptics|image|message|model|multipart|text|video|x-[a-z0-9-]{1,40}"
)

# Every repetition below is bounded or possessive, so that no text makes the search slow.
_DATA_URI = re.compile(rf"{_ALONE}data\s*+{_COLON}\s*+(?:(?:{_MEDIA_TYPES})\s*+{_SLASH}|[,;])|;\s*+base64\s*+,")
_DATA_URI_OF_ANY_TYPE = re.compile(rf"""{_ALONE}data{_COLON}[^\s"',]{{0,100}}+,""")
_FILE_URL = re.compile(
    rf"""{_ALONE}(?:file|ftps?|sftp|s3[an]?|gs|gcs|hf|ipfs|ipns)\s*+{_COLON}\s*+{_SLASH}
    | {_ALONE}(?:{"|".join(_WRAPPING_SCHEMES)}){_COLON}(?:https?|file)""",
    re.VERBOSE,
)
_URL_OF_ANY_SCHEME = re.compile(rf"{_ALONE}(?!https?\b)[a-z][a-z0-9+.-]{{0,30}}+{_COLON}{_SLASH}{{2}}")
#: Where buckets are reached over https.
_BUCKET_HOSTS = (
    "amazonaws.com",
    "storage.googleapis.com",
    "storage.cloud.google.com",
    ".core.windows.net",
    "r2.cloudflarestorage.com",
    ".r2.dev",
    "digitaloceanspaces.com",
    "backblazeb2.com",
    ".aliyuncs.com",
    ".myqcloud.com",
)
_HTTP_URL = re.compile(rf"{_ALONE}https?\s*+{_COLON}\s*+{_SLASH}")
_HTTP_URL_WITHOUT_SLASHES = re.compile(rf"{_ALONE}https?{_COLON}\S")
_WEB_HOST = re.compile(rf"{_ALONE}www\.[a-z0-9-]{{1,63}}+\.|(?<![:\w/])//[a-z0-9.-]{{1,253}}\.[a-z]{{2,24}}+[/:?#]")


def fault_of_text(text: str, *, max_bytes: int, urls_allowed: bool = False) -> str | None:
    """Why a text may not leave, in words for a developer that repeat nothing of it, or ``None``.

    The tests for addresses and files look at a copy in which letters that look alike are the same, and what is not
    seen is gone; the text itself is never changed. A web address without a scheme counts from ``www.`` on: a bare
    ``example.com`` is a name, and nothing fetches it.
    """
    if len(text) > max_bytes or (size := _utf8_bytes(text)) is None or size > max_bytes:
        return f"has to be text of at most {max_bytes} bytes in UTF-8"
    if _CONTROL.search(text):
        return "has a control character in it"
    skeleton = _skeleton(text)
    joined = _joined(skeleton)
    if _holds_a_data_uri(skeleton, joined):
        return "has a data URI in it: media cannot be sent inside a text"
    if _holds_a_file_url(skeleton, joined):
        return "has the address of a file or a bucket in it"
    if not urls_allowed and _holds_a_web_address(skeleton, joined):
        return "has a web address in it, which this field does not take"
    if _holds_a_file(skeleton):
        return "has a long run of base64 in it: media cannot be sent inside a text"
    return None


def _utf8_bytes(text: str) -> int | None:
    """The size of the text, or ``None`` where it has none because of a lone surrogate."""
    try:
        return len(text.encode())
    except UnicodeEncodeError:
        return None


def _skeleton(text: str) -> str:
    if text.isascii():
        return text.lower().replace("\x7f", "")
    plain = unicodedata.normalize("NFKD", text).translate(_LOOKALIKES).casefold()
    unseen = {ord(character): None for character in set(plain) if _is_unseen(character)}
    return plain.translate(unseen)


def _is_unseen(character: str) -> bool:
    if character in _LINE_BREAKS:
        return False
    return unicodedata.category(character) in _UNSEEN_CATEGORIES or character in _UNSEEN_LETTERS


# Parsers of addresses skip tabs and line breaks wherever they stand (WHATWG URL, §4.4). Across lines only what cannot
# be prose or code counts: a line may well end in "data:", and the next one begin with "//". The tests for substrings
# come first because most texts fail them, and they cost a hundredth of a search.


def _holds_a_data_uri(skeleton: str, joined: str) -> bool:
    if "data" not in joined and "base64" not in joined:
        return False
    return any(map(_DATA_URI.search, (skeleton, joined))) or bool(_DATA_URI_OF_ANY_TYPE.search(skeleton))


def _holds_a_file_url(skeleton: str, joined: str) -> bool:
    if any(host in joined for host in _BUCKET_HOSTS):
        return True
    if not any(colon in joined for colon in _COLONS):
        return False
    if not any(part in joined for part in _PARTS_OF_A_FILE_URL):
        return False
    return any(map(_FILE_URL.search, (skeleton, joined))) or bool(_URL_OF_ANY_SCHEME.search(skeleton))


def _holds_a_web_address(skeleton: str, joined: str) -> bool:
    if "http" in joined and (
        any(map(_HTTP_URL.search, (skeleton, joined))) or _HTTP_URL_WITHOUT_SLASHES.search(skeleton)
    ):
        return True
    return ("www." in joined or "//" in joined) and any(map(_WEB_HOST.search, (skeleton, joined)))


def _joined(skeleton: str) -> str:
    """The text with its tabs and line breaks gone."""
    return skeleton.replace("\n", "").replace("\r", "").replace("\t", "")


def _holds_a_file(skeleton: str) -> bool:
    """Whether runs of the base64 alphabet, on one line or on lines that follow each other, are long."""
    if max(map(len, skeleton.split()), default=0) < _LINE_OF_RUN:
        return False
    length, letters, end = 0, 0, 0
    for match in _RUN.finditer(skeleton):
        if skeleton[end : match.start()].strip():
            length, letters = 0, 0
        run = match.group()
        length += len(run)
        letters += sum(map(str.isalnum, run))
        end = match.end()
        if length >= LONG_RUN and letters >= _LETTERS_OF_RUN:
            return True
    return False
