from __future__ import annotations

import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from wenlu.lifecycle.report.numbers import amount, number, size, ticks


@pytest.mark.parametrize(
    ("value", "shown"),
    [
        (1.29312, "1.293"),
        (27.618, "27.62"),
        (912.44, "912.4"),
        (12345.6, "12,346"),
        (1234567, "1,234,567"),
        (724163908976.0, "7.242e+11"),
        (0.00001234, "1.234e-05"),
        (0.0, "0"),
        (0, "0"),
        (-0.1396, "−0.140"),
        (9.9999, "10.000"),
        (math.nan, "nan"),
        (math.inf, "inf"),
        (None, "–"),
        ("text", "text"),
        (True, "True"),
    ],
)
def test_numbers_are_written_for_readers(value: object, shown: str) -> None:
    assert number(value) == shown


@pytest.mark.parametrize(
    ("value", "shown"), [(0, "0"), (999, "999"), (1000, "1k"), (4_900_000, "4.9M"), (999_900, "1M"), (1.25, "1.25")]
)
def test_counts_have_a_scale(value: float, shown: str) -> None:
    assert amount(value) == shown


@pytest.mark.parametrize(
    ("value", "shown"),
    [(0, "0 B"), (1023, "1023 B"), (1024, "1 KiB"), (9_912_345, "9.45 MiB"), (1047527424, "999 MiB")],
)
def test_sizes_have_a_unit(value: float, shown: str) -> None:
    assert size(value) == shown


@given(st.floats(-1e12, 1e12), st.floats(1e-6, 1e12))
def test_ticks_are_few_even_and_inside(low: float, span: float) -> None:
    high = low + span
    if high - low < 1e-9 * max(abs(low), abs(high)):
        return
    found = ticks(low, high)
    assert 1 <= len(found) <= 7
    slack = 1e-6 * (high - low)
    assert all(low - slack <= tick <= high + slack for tick in found)
