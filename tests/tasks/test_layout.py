"""How texts stand in a row."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from wenlu.tasks.labelled.layout import Layout, parts, shortened

TEXT = list(range(100))


def test_a_pair_stands_between_its_marks() -> None:
    layout = Layout(before=(1,), between=(2, 3), behind=(4,))
    assert layout.row([7, 8]) == ([1, 7, 8, 4], [0, 0, 0, 0])
    assert layout.row([7], [8, 9]) == ([1, 7, 2, 3, 8, 9, 4], [0, 0, 0, 0, 1, 1, 1])
    assert layout.room(10, pair=False) == 8
    assert layout.room(10, pair=True) == 6


def test_a_long_text_is_read_as_the_settings_say() -> None:
    assert parts(TEXT, 10, "head") == [TEXT[:10]]
    assert parts(TEXT, 10, "tail") == [TEXT[90:]]
    assert parts(TEXT, 10, "head-tail") == [[0, 1, *range(92, 100)]]
    assert parts(TEXT[:10], 10, "windows") == [TEXT[:10]]


@given(length=st.integers(1, 200), room=st.integers(2, 40))
def test_windows_lose_no_token(length: int, room: int) -> None:
    text = list(range(length))
    windows = parts(text, room, "windows")
    assert {token for window in windows for token in window} == set(text)
    assert all(len(window) <= room for window in windows)


@given(first=st.integers(0, 60), second=st.integers(0, 60), room=st.integers(2, 50))
def test_a_pair_that_is_too_long_loses_the_ends_of_the_longer(first: int, second: int, room: int) -> None:
    a, b = shortened(list(range(first)), list(range(second)), room)
    assert len(a) + len(b) == min(room, first + second)
    assert list(a) == list(range(len(a)))
    assert list(b) == list(range(len(b)))
    if len(a) < first and len(b) < second:
        assert abs(len(a) - len(b)) <= 1


@pytest.mark.parametrize("part", ["head", "tail", "head-tail", "windows"])
def test_a_text_that_fits_is_read_whole(part: str) -> None:
    assert parts(TEXT, 100, part) == [TEXT]  # type: ignore[arg-type]
