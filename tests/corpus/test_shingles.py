from __future__ import annotations

import sysconfig
from pathlib import Path

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st

from wenlu.corpus import shingles as module
from wenlu.corpus.script import is_mostly_han, letters_by_script
from wenlu.corpus.shingles import jaccard, ngrams, shingles, units

TEXT = st.text(st.sampled_from("abAB zé_1.-\n\t中文字のカ한İß😀'"), max_size=60)


def units_by_hand(text: str) -> list[str]:
    """The definition, letter by letter."""
    found: list[str] = []
    word = ""
    for letter in [*text.lower(), " "]:
        kind = module._kinds()[ord(letter)]
        if kind != module._WORD and word:
            found.append(word)
            word = ""
        if kind == module._WORD:
            word += letter
        elif kind == module._SINGLE:
            found.append(letter)
    return found


@settings(max_examples=300, deadline=None)
@given(st.lists(TEXT, max_size=6))
def test_equal_units_have_equal_hashes_and_different_ones_different(texts: list[str]) -> None:
    hashed = units(texts)
    names: dict[int, str] = {}
    for i, text in enumerate(texts):
        expected = units_by_hand(text)
        assert len(hashed[i]) == len(expected)
        for value, word in zip(hashed[i].tolist(), expected, strict=True):
            assert names.setdefault(value, word) == word
    assert len(set(names.values())) == len(names)


@settings(max_examples=100, deadline=None)
@given(st.lists(TEXT, min_size=1, max_size=6), st.integers(1, 7))
def test_a_text_has_the_same_shingles_alone_and_among_others(texts: list[str], size: int) -> None:
    together = shingles(texts, size)
    for i, text in enumerate(texts):
        np.testing.assert_array_equal(together[i], shingles([text], size)[0])
        assert len(together[i]) == max(len(units_by_hand(text)) - size + 1, 1)


def test_a_long_text_is_cut_between_words_without_a_trace() -> None:
    words = [f"word{i % 1000}" for i in range(30_000)]
    assert len(" ".join(words)) > 2 * module._BATCH
    np.testing.assert_array_equal(units([" ".join(words)])[0], units(["\n".join(words)])[0])
    assert len(set(units([" ".join(words)])[0].tolist())) == 1000


def test_a_single_word_longer_than_a_batch_is_hashed() -> None:
    assert len(units(["x" * (3 * module._BATCH)])[0]) >= 1


def test_punctuation_and_case_make_no_difference_and_order_does() -> None:
    sets = shingles(["The cat sat, on a mat.", "the CAT sat on «a mat»", "the cat on a mat sat"], 3)
    assert jaccard(np.unique(sets[0]), np.unique(sets[1])) == 1.0
    assert jaccard(np.unique(sets[0]), np.unique(sets[2])) < 1.0


def test_jaccard_is_the_share_of_common_shingles() -> None:
    sets = shingles(["a b c d e f", "b c d e f g"], 2)
    assert jaccard(np.unique(sets[0]), np.unique(sets[1])) == 4 / 6


def test_texts_without_words_differ_from_each_other() -> None:
    hashes = shingles(["", "!!!", "???", " !!! "], 5).values.tolist()
    assert len(set(hashes)) == 3
    assert hashes[1] == hashes[3]


def test_short_texts_have_no_ngrams_and_one_shingle() -> None:
    parts = units(["a b", "c"])
    assert len(ngrams(parts, 3).values) == 0
    assert len(ngrams(parts, 2).values) == 1
    assert len(shingles(["a b", "c"], 3).values) == 2


def test_no_two_shingles_of_real_text_share_a_hash() -> None:
    folder = Path(sysconfig.get_paths()["stdlib"])
    texts = [path.read_text(encoding="utf-8") for path in sorted(folder.glob("*.py"))[:40]]
    words = [units_by_hand(text) for text in texts]
    expected = {tuple(found[i : i + 5]) for found in words for i in range(max(len(found) - 4, 1))}
    assert len(np.unique(shingles(texts, 5).values)) == len(expected)


def test_letters_are_counted_by_script() -> None:
    assert letters_by_script("abc 中文 かカ 한 Ж 12 ．") == {
        "Latin": 3,
        "Cyrillic": 1,
        "Kana": 2,
        "Hangul": 1,
        "Han": 2,
    }
    assert letters_by_script("") == letters_by_script("12 !") == {}


def test_mostly_han_means_half_of_the_letters() -> None:
    assert is_mostly_han("中文ab")
    assert not is_mostly_han("中文abc")
    assert not is_mostly_han("")
