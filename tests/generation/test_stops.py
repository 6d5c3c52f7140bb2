"""Stop strings end a text at the same place however it arrives."""

from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from wenlu.generation.stops import StopStrings


def stopped(text: str, stops: list[str]) -> str:
    """Reference: a character at a time, the first stop string that is complete, the longest of several."""
    for end in range(1, len(text) + 1):
        found = [stop for stop in stops if text[:end].endswith(stop)]
        if found:
            return text[: end - max(map(len, found))]
    return text


def pushed(pieces: list[str], stops: list[str]) -> str:
    guard = StopStrings(stops)
    return "".join(guard.push(piece) for piece in pieces) + guard.flush()


LETTERS = st.text("ab文", max_size=20)


@settings(max_examples=300, deadline=None)
@given(st.lists(LETTERS, max_size=8), st.lists(st.text("ab文", min_size=1, max_size=4), max_size=3))
def test_the_cut_is_the_same_wherever_the_pieces_are_split(pieces: list[str], stops: list[str]) -> None:
    text = "".join(pieces)
    assert pushed(pieces, stops) == pushed([text], stops) == pushed(list(text), stops) == stopped(text, stops)


@settings(max_examples=200, deadline=None)
@given(st.lists(LETTERS, max_size=8), st.lists(st.text("ab文", min_size=1, max_size=4), min_size=1, max_size=3))
def test_no_part_of_a_stop_string_gets_out_before_it_is_known_to_be_none(pieces: list[str], stops: list[str]) -> None:
    guard = StopStrings(stops)
    shown = ""
    for piece in pieces:
        shown += guard.push(piece)
        assert stopped("".join(pieces), stops).startswith(shown)


def test_text_that_only_began_a_stop_string_comes_with_the_flush() -> None:
    guard = StopStrings(["</end>"])
    assert guard.push("abc</e") == "abc"
    assert guard.flush() == "</e"


@pytest.mark.parametrize(("pieces", "shown"), [(["he", "llo\n", "\nyou"], "hello"), (["x\n", "y"], "x\ny")])
def test_a_stop_string_may_straddle_pieces(pieces: list[str], shown: str) -> None:
    assert pushed(pieces, ["\n\n"]) == shown


def test_nothing_follows_a_stop_string() -> None:
    guard = StopStrings(["b"])
    assert guard.push("ab") == "a"
    assert guard.stopped
    assert guard.push("c") == guard.flush() == ""
