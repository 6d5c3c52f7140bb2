"""Pieces become characters, words and sentences, and their sum stays what it was."""

from __future__ import annotations

import math
from itertools import pairwise

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from tests.tasks.tiny import CHINESE, ENGLISH, NewTokenizer

from wenlu.explanation.subject import Part, Piece
from wenlu.explanation.units import Level, Unit, on_grid, summed, units_of
from wenlu.tokenizers import Tokenizer

LEVELS: tuple[Level, ...] = ("token", "character", "word", "sentence")
MIXED = "酒店很好👍🏽，but the room was small. 服务太差了！Never again 👨‍👩‍👧‍👦."


def cut(text: str, tokenizer: Tokenizer) -> tuple[tuple[Part, ...], tuple[Piece, ...]]:
    return (Part("text", text),), tuple(Piece(0, *span) for span in tokenizer.encode_spans([text])[0].spans)


def texts_of(units: list[Unit], text: str) -> list[str]:
    return [text[unit.start : unit.end] for unit in units]


@pytest.fixture(scope="session")
def bytewise(new_tokenizer: NewTokenizer) -> Tokenizer:
    return new_tokenizer([*ENGLISH, *CHINESE], vocab_size=400)


@pytest.mark.parametrize("level", LEVELS)
@given(text=st.text(max_size=60))
def test_every_piece_is_in_one_unit_and_units_follow_each_other(level: Level, text: str, bytewise: Tokenizer) -> None:
    parts, pieces = cut(text, bytewise)
    units = units_of(parts, pieces, level)
    assert sorted(piece for unit in units for piece in unit.pieces) == list(range(len(pieces)))
    assert all(a.end <= b.start for a, b in pairwise(units))
    assert all(0 <= unit.start <= unit.end <= len(text) for unit in units)


@pytest.mark.parametrize("level", LEVELS)
def test_the_sum_is_the_same_to_the_last_bit(level: Level, bytewise: Tokenizer) -> None:
    parts, pieces = cut(MIXED, bytewise)
    amounts = on_grid(
        np.random.default_rng(0).normal(size=len(pieces)) * 10.0 ** np.arange(-5, 3).repeat(99)[: len(pieces)]
    )
    merged = summed(amounts, units_of(parts, pieces, level))
    assert merged.sum() == amounts.sum() == math.fsum(amounts)


def test_bytes_of_an_emoji_are_one_character_with_its_joiners(bytewise: Tokenizer) -> None:
    parts, pieces = cut(MIXED, bytewise)
    shown = texts_of(units_of(parts, pieces, "character"), MIXED)
    assert "👍🏽" in shown
    assert "👨‍👩‍👧‍👦" in shown


def test_chinese_is_cut_into_words_and_english_at_spaces(new_tokenizer: NewTokenizer) -> None:
    letters = new_tokenizer([MIXED], kind="char", vocab_size="auto")
    parts, pieces = cut(MIXED, letters)
    shown = texts_of(units_of(parts, pieces, "word"), MIXED)
    assert shown[:4] == ["酒店", "很", "好", "👍🏽"]
    assert shown[5:10] == ["but", "the", "room", "was", "small"]


def test_sentences_end_where_they_do_in_both_languages(bytewise: Tokenizer) -> None:
    parts, pieces = cut(MIXED, bytewise)
    assert texts_of(units_of(parts, pieces, "sentence"), MIXED) == [
        "酒店很好👍🏽，but the room was small.",
        "服务太差了！",
        "Never again 👨‍👩‍👧‍👦.",
    ]


def test_words_that_share_a_token_are_one_unit() -> None:
    units = units_of((Part("text", "in spite of"),), (Piece(0, 0, 8), Piece(0, 9, 11)), "word")
    assert units == [Unit(0, 0, 8, (0,)), Unit(0, 9, 11, (1,))]


def test_a_word_that_was_not_read_has_no_piece() -> None:
    units = units_of((Part("text", "one two"),), (Piece(0, 0, 3),), "word")
    assert [unit.pieces for unit in units] == [(0,), ()]
