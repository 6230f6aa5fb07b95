"""The quick looks at a text skip a search only where it would find nothing."""

from hypothesis import given
from hypothesis import strategies as st

from consent_proxy.domain import free_text

PIECES = st.sampled_from(
    [
        *("file", "ftp", "s3", "gs", "ipfs", "blob", "filesystem", "jar", "view-source", "http", "https", "scheme"),
        *(
            ":",
            "%3a",
            "&#58;",
            "&colon;",
            "/",
            "\\",
            "%2f",
            "%5c",
            "&#47;",
            "&#x2f;",
            "&sol;",
            " ",
            "\n",
            "\t",
            "a",
            ".",
        ),
    ]
)


@given(st.lists(PIECES, max_size=12).map("".join))
def test_no_address_is_missed_for_want_of_a_slash(skeleton: str) -> None:
    joined = free_text._joined(skeleton)
    found = any(map(free_text._FILE_URL.search, (skeleton, joined))) or bool(
        free_text._URL_OF_ANY_SCHEME.search(skeleton)
    )
    assert free_text._holds_a_file_url(skeleton, joined) == found
