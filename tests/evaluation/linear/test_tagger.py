"""A linear tagger: what it sees of a word, and that it learns from a word's neighbours."""

from __future__ import annotations

import pytest

from wenlu.evaluation.linear.stored import no_tokenizer
from wenlu.evaluation.linear.tagger import fit, shape, window_features
from wenlu.tasks.tagging.examples import TaggedText
from wenlu.tasks.tagging.words import Words
from wenlu.tasks.token_classification import TokenClassification, TokenClassificationConfig


def tagged(text: str, tags: str) -> TaggedText:
    return TaggedText(Words.whole(text), tuple(tags.split()))


SENTENCES = [
    tagged("he lives in Rome now", "O O O B-LOC O"),
    tagged("she lives in Paris now", "O O O B-LOC O"),
    tagged("Rome Hilton met Paris Hilton", "B-PER I-PER O B-PER I-PER"),
    tagged("Anna Hilton met him", "B-PER I-PER O O"),
] * 3


@pytest.mark.parametrize(
    ("word", "expected"), [("Rome", "Xx"), ("U.S.", "X.X."), ("1996-08-22", "9-9-9"), ("北京", "o"), ("iPhone", "xXx")]
)
def test_the_shape_of_a_word_is_the_kinds_of_its_characters(word: str, expected: str) -> None:
    assert shape(word) == expected


def test_a_word_is_seen_with_two_neighbours_on_each_side() -> None:
    first = window_features(["In", "Rome", "now"])[0]
    assert {"-2:<edge>", "-1:<edge>", "0:in", "1:rome", "2:now", "is In", "both in rome", "shape 1:Xx"} <= set(first)
    assert {"begins i", "ends n", "begins in"} <= set(first)


def test_the_neighbours_decide_what_a_name_is_of() -> None:
    task = TokenClassification(TokenClassificationConfig().learnt(SENTENCES), no_tokenizer())
    tagger = fit(task, SENTENCES)
    asked = [tagged("he lives in Rome now", "O O O O O"), tagged("Paris Hilton met him", "O O O O")]
    found = [answer.tags for answer in tagger.answer(asked)]
    assert found == [("O", "O", "O", "B-LOC", "O"), ("B-PER", "I-PER", "O", "O")]
