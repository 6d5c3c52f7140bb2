"""Tokens are added to a byte-level BPE without changing how it reads what it could read before."""

from __future__ import annotations

import os
from itertools import chain

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from wenlu.errors import ConfigError, DataError
from wenlu.tokenizers import Tokenizer, TokenizerConfig, extended, spelt, train_tokenizer

EXAMPLES = 1000 if os.environ.get("WENLU_PROOF") == "1" else 60
ENGLISH = ["the cat sat on the mat. the dog sat on the log 4 times.", "did the cat sleep? it didn't move then."] * 4
CHINESE = ["春眠不觉晓，处处闻啼鸟。夜来风雨声，花落知多少。", "床前明月光，疑是地上霜。举头望明月，低头思故乡。"] * 4
ADDED = 24


@pytest.fixture(scope="module")
def base() -> Tokenizer:
    return train_tokenizer(TokenizerConfig(vocab_size=290), ENGLISH)


@pytest.fixture(scope="module")
def longer(base: Tokenizer) -> Tokenizer:
    return extended(base, CHINESE, ADDED)


def test_its_ids_follow_those_of_the_base_which_stay(base: Tokenizer, longer: Tokenizer) -> None:
    assert longer.vocab_size == base.vocab_size + ADDED
    assert sorted(spelt(longer, base)) == [*range(base.vocab_size, longer.vocab_size)]
    assert longer.special_tokens == base.special_tokens
    for text in ENGLISH:
        assert longer.encode(text) == base.encode(text)


@settings(max_examples=EXAMPLES, deadline=None)
@given(text=st.text(alphabet=st.sampled_from("the catsod .春眠不觉晓处闻啼鸟明月光，。\n"), max_size=60))
def test_a_text_is_cut_into_runs_of_what_it_was_cut_into(text: str, base: Tokenizer, longer: Tokenizer) -> None:
    pieces = spelt(longer, base)
    ids = longer.encode(text)
    assert longer.decode(ids) == text
    assert [*chain.from_iterable(pieces.get(id, [id]) for id in ids)] == base.encode(text)


def test_the_first_pairs_are_those_that_stand_most_often(base: Tokenizer) -> None:
    """ "aa" stands 3 × 2 times, "xy" 5 times, and then "aaaa" 3 times."""
    longer = extended(base, ["zqzqzqzq", "kx kx"] * 3, 3)
    found = [longer.decode([id]) for id in range(base.vocab_size, longer.vocab_size)]
    assert found[:2] == ["zq", "zqzq"]


def test_chinese_takes_fewer_tokens(base: Tokenizer, longer: Tokenizer) -> None:
    before, after = (sum(map(len, each.encode_batch(CHINESE))) for each in (base, longer))
    assert after < before / 1.4


def test_what_cannot_be_extended_is_refused(base: Tokenizer) -> None:
    with pytest.raises(DataError, match=r"tokenizer\.extend_by = 5000 is more than the text supports: "):
        extended(base, CHINESE, 5000)
    words = train_tokenizer(TokenizerConfig(kind="word", vocab_size="auto"), ENGLISH)
    with pytest.raises(ConfigError, match=r"tokenizer\.extend_by: is for byte-level BPE, and that of the base is"):
        extended(words, CHINESE, 5)
