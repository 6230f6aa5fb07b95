"""Where results may be read from: the quick look and the full one agree."""

import httpx
import pytest
from hypothesis import given
from hypothesis import strategies as st

from consent_proxy.adapters.http import UnsafeUrl, safe_url
from consent_proxy.adapters.listed_hosts import ListedHosts

HOSTS = ListedHosts.of(["v3.fal.media", "*.fal.media", "127.0.0.1:8000"])


@pytest.mark.parametrize(
    ("url", "allowed"),
    [
        ("https://v3.fal.media/files/a.png", True),
        ("https://v9.fal.media/files/a.png", True),
        ("http://127.0.0.1:8000/a.png", True),
        ("https://fal.media/a.png", False),
        ("https://evilfal.media/a.png", False),
        ("https://fal.media.evil.example/a.png", False),
        ("https://v3.fal.media@evil.example/a.png", False),
        ("https://v3.fal.media:444/a.png", False),
        ("http://v3.fal.media/a.png", False),
        ("https://v3.fal.media", True),
    ],
)
def test_only_listed_hosts_are_read(url: str, allowed: bool) -> None:
    assert HOSTS.allows(url) is allowed


@given(
    st.lists(
        st.sampled_from(
            ["v3", "fal", "media", "evil", ".", "-", "/", "a", "..", "~", "_", "fal.media", "v3.fal.media"]
        ),
        max_size=8,
    ).map(lambda parts: "https://" + "".join(parts))
)
def test_what_the_quick_look_allows_the_full_one_allows_too(url: str) -> None:
    if not HOSTS.allows(url):
        return
    try:
        place = safe_url(url).netloc.decode("ascii")
    except UnsafeUrl:
        raise AssertionError("a URL that may not be called was allowed") from None
    assert place == "v3.fal.media" or place.endswith(".fal.media")
    assert httpx.URL(url).port is None
