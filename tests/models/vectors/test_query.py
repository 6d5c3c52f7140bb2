from __future__ import annotations

import re

import numpy as np
import pytest

from wenlu.errors import DataError
from wenlu.models.vectors import WordVectors, ask, parse_query


@pytest.mark.parametrize(
    ("text", "plus", "minus"),
    [
        ("king", ["king"], []),
        ("king - man + woman", ["king", "woman"], ["man"]),
        ("国王 － 男人 ＋ 女人", ["国王", "女人"], ["男人"]),
        ("well-known", ["well-known"], []),
        ("new york", ["new", "york"], []),
        ("- man", [], ["man"]),
    ],
)
def test_a_sum_of_words_is_read(text: str, plus: list[str], minus: list[str]) -> None:
    assert parse_query(text) == (plus, minus)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("king -", "'king -': no word behind '-'"),
        ("king - + man", "'king - + man': no word behind '-'"),
        ("", "'': no word to look for neighbours of"),
    ],
)
def test_a_sign_without_a_word_is_refused(text: str, message: str) -> None:
    with pytest.raises(DataError, match=re.escape(message)):
        parse_query(text)


def test_asking_is_the_neighbourhood_of_the_sum() -> None:
    vectors = WordVectors(("a", "b", "c", "d"), np.random.default_rng(0).normal(size=(4, 3)).astype(np.float32))
    assert ask(vectors, "a - b + c", count=2) == vectors.neighbours(["a", "c"], ["b"], count=2)
