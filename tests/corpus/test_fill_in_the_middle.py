from __future__ import annotations

import random
from collections import Counter

from hypothesis import given
from hypothesis import strategies as st

from wenlu.corpus.fill_in_the_middle import Marks, Parts, Unit, fim, rng_of, split

TEXTS = st.text(alphabet=st.characters(exclude_categories=("Cs",), exclude_characters="␟␞␝"), max_size=60)
MARKS = Marks("␟", "␞", "␝")
UNITS: list[Unit] = ["character", "line"]


def test_the_orders_are_those_of_the_paper() -> None:
    """Bavarian et al. 2022, section 3 and the second variant of SPM in appendix D."""
    parts = Parts("pre", "mid", "suf")
    assert parts.arrange("psm", Marks()) == "<|fim_prefix|>pre<|fim_suffix|>suf<|fim_middle|>mid"
    assert parts.arrange("spm", Marks()) == "<|fim_prefix|><|fim_suffix|>suf<|fim_middle|>premid"


@given(TEXTS, st.integers(), st.sampled_from(UNITS))
def test_the_parts_are_the_text(text: str, seed: int, unit: Unit) -> None:
    parts = split(text, random.Random(seed), unit=unit)
    assert parts.prefix + parts.middle + parts.suffix == text
    if unit == "line":
        assert parts.prefix in ("", text) or parts.prefix.endswith("\n")
        assert (seen := parts.prefix + parts.middle) in ("", text) or seen.endswith("\n")


@given(TEXTS, st.integers())
def test_what_was_rearranged_can_be_put_back(text: str, seed: int) -> None:
    told = fim(text, random.Random(seed), rate=1.0, marks=MARKS)
    assert Counter(told) == Counter(text + "␟␞␝")
    head, _, middle = told.partition(MARKS.middle)
    assert head.startswith(MARKS.prefix)
    prefix, _, suffix = head.removeprefix(MARKS.prefix).partition(MARKS.suffix)
    assert prefix + middle + suffix == text


@given(TEXTS, st.integers())
def test_at_rate_nothing_the_text_stays(text: str, seed: int) -> None:
    assert fim(text, random.Random(seed), rate=0.0) == text


def test_the_rate_is_kept() -> None:
    """Within four standard errors of 4,000 draws."""
    told = [fim("abc", rng_of(7, str(i)), rate=0.75, marks=MARKS) for i in range(4000)]
    moved = [text for text in told if text != "abc"]
    assert abs(len(moved) / 4000 - 0.75) < 4 * (0.75 * 0.25 / 4000) ** 0.5
    assert all(text[0] == "␟" for text in moved)


def test_the_share_of_suffix_first_is_kept() -> None:
    """Where the prefix is not empty, what stands first shows which order it is."""
    told = [fim("x" * 1000, rng_of(7, str(i)), rate=1.0, spm_rate=0.25, marks=MARKS) for i in range(4000)]
    share = sum(text.startswith("␟␝") for text in told) / 4000
    assert abs(share - 0.25) < 4 * (0.25 * 0.75 / 4000) ** 0.5 + 0.002, "an empty prefix is one in 500"


def test_places_are_drawn_evenly() -> None:
    """The cuts of four characters: each of five places twice in 25 pairs, a middle of nothing in 5 of 25."""
    rng = random.Random(0)
    empty = sum(split("abcd", rng).middle == "" for _ in range(5000))
    assert abs(empty / 5000 - 5 / 25) < 4 * (0.2 * 0.8 / 5000) ** 0.5


def test_a_record_is_told_the_same_way_wherever_it_comes() -> None:
    ids = [f"r {i}" for i in range(50)]
    forward = {id: fim("some text", rng_of(3, id)) for id in ids}
    assert {id: fim("some text", rng_of(3, id)) for id in reversed(ids)} == forward
    assert {id: fim("some text", rng_of(4, id)) for id in ids} != forward
