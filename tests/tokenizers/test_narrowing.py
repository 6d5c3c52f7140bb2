"""Fewer tokens: given texts are cut as before, and every text can be written."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from tests.tasks.tiny import CHINESE, ENGLISH, NewTokenizer

from wenlu.tokenizers import Tokenizer
from wenlu.tokenizers.narrowing import kept_ids, narrowed, used_ids

KINDS: dict[str, dict[str, Any]] = {
    "bpe": {"vocab_size": 400},
    "unigram": {"vocab_size": 420},
    "wordpiece": {"vocab_size": 140},
    "char": {"vocab_size": "auto"},
    "word": {"vocab_size": "auto"},
}
TEXTS = [*ENGLISH[:2], CHINESE[0]]


@pytest.fixture(params=KINDS)
def whole(request: pytest.FixtureRequest, new_tokenizer: NewTokenizer) -> Tokenizer:
    return new_tokenizer([*ENGLISH, *CHINESE], kind=request.param, min_frequency=1, **KINDS[request.param])


def test_the_given_texts_are_cut_as_before(whole: Tokenizer) -> None:
    narrow = narrowed(whole, kept_ids(whole, used_ids(whole, TEXTS)))
    assert narrow.vocab_size <= whole.vocab_size
    for text in TEXTS:
        before, after = whole.encode(text), narrow.encode(text)
        assert [whole.token(id) for id in before] == [narrow.token(id) for id in after]
        assert narrow.decode(after) == whole.decode(before)


def test_special_tokens_keep_their_roles(whole: Tokenizer) -> None:
    narrow = narrowed(whole, kept_ids(whole, ()))
    assert narrow.roles == whole.roles
    assert list(narrow.special_tokens) == list(whole.special_tokens)
    for role in ("bos_id", "eos_id", "pad_id", "unk_id"):
        old, new = getattr(whole, role), getattr(narrow, role)
        assert (old is None) == (new is None)
        assert old is None or whole.token(old) == narrow.token(new)


@given(text=st.text(max_size=40))
@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_any_text_comes_back(text: str, new_tokenizer: NewTokenizer) -> None:
    whole = new_tokenizer([*ENGLISH, *CHINESE], vocab_size=400)
    narrow = narrowed(whole, kept_ids(whole, used_ids(whole, TEXTS)))
    assert narrow.vocab_size < whole.vocab_size
    assert narrow.decode(narrow.encode(text)) == whole.decode(whole.encode(text)) == text


def test_what_a_token_is_made_of_stays(new_tokenizer: NewTokenizer) -> None:
    whole = new_tokenizer([*ENGLISH, *CHINESE], vocab_size=400)
    longest = max(range(whole.vocab_size), key=lambda id: len(whole.token(id)) if id not in {0, 1} else 0)
    narrow = narrowed(whole, kept_ids(whole, [longest]))
    text = whole.decode([longest])
    assert len(narrow.encode(text)) == len(whole.encode(text))
