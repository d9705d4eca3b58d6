"""Whole numbers between bounds, told by their digits."""

import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from fastembed.inference.engines.chat.digits import whole_numbers

WHOLE = st.integers(-200_000, 200_000)


def matches(expression: str, number: int) -> bool:
    """The expression has literals, classes, counts and alternatives only: as a regular expression it has no spaces."""
    return re.fullmatch(re.sub(r'[" ]', "", expression), str(number)) is not None


@given(st.tuples(WHOLE, WHOLE), st.integers(-3, 3), st.floats(0, 1))
def test_every_number_within_the_bounds_fits_and_no_other(bounds, beside, share):
    low, high = sorted(bounds)
    expression = whole_numbers(low, high)
    for number in (low + beside, high + beside, round(low + share * (high - low))):
        assert matches(expression, number) == (low <= number <= high)


@pytest.mark.parametrize(("low", "high", "inside", "outside"), [(1, None, 10**14, 0), (None, -3, -(10**14), -2)])
def test_one_bound_leaves_fifteen_digits(low, high, inside, outside):
    assert matches(whole_numbers(low, high), inside)
    assert not matches(whole_numbers(low, high), outside)
    assert not matches(whole_numbers(low, high), inside * 100)


def test_without_bounds_there_is_nothing_to_say():
    assert whole_numbers(None, None) is None
