"""A value leaves only as what its place takes, and is told off without being repeated."""

from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from consent_proxy.domain.categories import DataCategory
from consent_proxy.domain.manifests import Field, FieldKind
from consent_proxy.domain.payloads import Json
from consent_proxy.domain.refusals import Reason
from consent_proxy.domain.values import Fit, Unfit, fit
from tests.builders import a_field

INTEGER = Field(path="n", category=DataCategory.SETTING, kind=FieldKind.INTEGER, minimum=1, maximum=50)
NUMBER = replace(INTEGER, kind=FieldKind.NUMBER, minimum=0.5, maximum=20)
BOOLEAN = Field(path="b", category=DataCategory.SETTING, kind=FieldKind.BOOLEAN)
CHOICE = Field(path="c", category=DataCategory.SETTING, kind=FieldKind.CHOICE, choices=("png", 1, 2.0))


@pytest.mark.parametrize(
    ("place", "value"),
    [
        (INTEGER, 1),
        (INTEGER, 50),
        (NUMBER, 0.5),
        (NUMBER, 7),
        (NUMBER, 7.0),
        (NUMBER, 20),
        (BOOLEAN, True),
        (BOOLEAN, False),
        (CHOICE, "png"),
        (CHOICE, 1),
        (CHOICE, 2.0),
        (a_field(), "a boat"),
    ],
)
def test_a_fitting_value_leaves_as_it_is(place: Field, value: Json) -> None:
    fitted = fit(value, place=place, media={})

    assert isinstance(fitted, Fit)
    assert (type(fitted.value), fitted.value) == (type(value), value)


@pytest.mark.parametrize(
    ("place", "value"),
    [
        (INTEGER, 0),
        (INTEGER, 51),
        (INTEGER, 7.0),
        (INTEGER, True),
        (INTEGER, "7"),
        (INTEGER, 10**400),
        (INTEGER, -(10**400)),
        (NUMBER, 0.4),
        (NUMBER, 20.1),
        (NUMBER, 10**400),
        (NUMBER, 1e308),
        (NUMBER, float("nan")),
        (NUMBER, float("inf")),
        (NUMBER, float("-inf")),
        (NUMBER, True),
        (NUMBER, "1e1"),
        (NUMBER, [1]),
        (BOOLEAN, 1),
        (BOOLEAN, 0),
        (BOOLEAN, "true"),
        (CHOICE, "PNG"),
        (CHOICE, "png "),
        (CHOICE, "jpeg"),
        (CHOICE, True),
        (CHOICE, 1.0),
        (CHOICE, 2),
        (CHOICE, ["png"]),
        (CHOICE, {"png": 1}),
        (a_field(), 7),
        (a_field(), True),
        (a_field(max_bytes=3), "boat"),
    ],
)
def test_any_other_value_does_not(place: Field, value: Json) -> None:
    fitted = fit(value, place=place, media={})

    assert isinstance(fitted, Unfit)
    assert fitted.reason is Reason.VALUE_NOT_ALLOWED
    assert fitted.path == place.path


def test_a_fault_tells_a_developer_what_would_do() -> None:
    def fault(place: Field) -> str:
        fitted = fit(None, place=place, media={})
        assert isinstance(fitted, Unfit)
        return fitted.fault

    assert fault(INTEGER) == "has to be a whole number from 1 to 50"
    assert fault(NUMBER) == "has to be a number from 0.5 to 20"
    assert fault(BOOLEAN) == "has to be true or false"
    assert fault(CHOICE) == "has to be one of: png, 1, 2.0"
    assert fault(replace(CHOICE, choices=tuple(range(13)))) == "has to be one of the 13 values its manifest lists"


def test_a_card_number_does_not_fit_into_a_fraction() -> None:
    fitted = fit(4.111111111111111, place=NUMBER, media={})

    assert isinstance(fitted, Fit)
    assert fitted.value == 4.11111


def test_the_noise_of_binary_fractions_is_rounded_off_and_not_refused() -> None:
    fitted = fit(0.1 + 0.7, place=NUMBER, media={})

    assert isinstance(fitted, Fit)
    assert fitted.value == 0.8


@pytest.mark.parametrize("kind", [FieldKind.INTEGER, FieldKind.NUMBER])
@given(value=st.integers() | st.floats())
def test_a_number_without_a_range_is_never_passed(kind: FieldKind, value: float) -> None:
    for place in (
        Field(path="n", kind=kind),
        Field(path="n", kind=kind, minimum=0),
        Field(path="n", kind=kind, maximum=9),
    ):
        assert isinstance(fit(value, place=place, media={}), Unfit)
