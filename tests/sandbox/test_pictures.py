"""The pictures are real, and made from the prompt."""

import dataclasses

import pytest

from consent_proxy.sandbox.pictures import Picture
from tests.sandbox.png import decode

LIGHTHOUSE = Picture(prompt="a lighthouse at dusk", seed=7, width=64, height=48)


@pytest.mark.parametrize("size", [(1, 1), (1, 9), (7, 5), (333, 77), (1024, 1024)])
def test_a_picture_decodes_to_the_size_asked_for(size: tuple[int, int]) -> None:
    picture = decode(Picture(prompt="a lighthouse", width=size[0], height=size[1]).png())

    assert (picture.width, picture.height) == size
    assert {len(row) for row in picture.rows} == {3 * size[0]}


def test_a_picture_shows_something() -> None:
    rows = decode(LIGHTHOUSE.png()).rows

    assert len(set(rows)) > 10
    assert len(set(b"".join(rows))) > 50


def test_a_picture_carries_no_text() -> None:
    assert decode(LIGHTHOUSE.png()).chunks == [b"IHDR", b"IDAT", b"IEND"]


def test_the_same_words_and_seed_give_the_same_picture() -> None:
    assert LIGHTHOUSE.png() == dataclasses.replace(LIGHTHOUSE).png()


@pytest.mark.parametrize("other", [{"prompt": "a red fox"}, {"seed": 8}, {"number": 1}])
def test_other_words_another_seed_or_number_give_another_picture(other: dict[str, object]) -> None:
    assert LIGHTHOUSE.png() != dataclasses.replace(LIGHTHOUSE, **other).png()  # type: ignore[arg-type]


@pytest.mark.parametrize("odd", [{"prompt": "\ud800"}, {"prompt": ""}, {"seed": 10**40}, {"seed": -1}])
def test_whatever_a_caller_sends_can_be_painted(odd: dict[str, object]) -> None:
    assert decode(dataclasses.replace(LIGHTHOUSE, **odd).png()).width == 64  # type: ignore[arg-type]
