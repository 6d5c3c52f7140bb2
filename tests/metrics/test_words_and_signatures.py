"""Hand cases: what a word is, how perplexities relate, and what a signature says."""

import math

import numpy as np
import pytest

from wenlu.errors import DataError
from wenlu.metrics import BITS_PER_BYTE, BYTE_PERPLEXITY, PERPLEXITY
from wenlu.tokenizers.words import count_words


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("", 0),
        (" \n\t ", 0),
        ("one", 1),
        ("def f(x):\n    return x", 4),
        ("天地玄黄", 4),
        ("天地 玄黄", 4),
        ("天地，玄黄。", 6),
        ("用 Python 3 写诗", 5),
        ("用Python写诗", 4),
        ("𠀀々〇", 3),
        ("naïve café", 2),
        ("non\u00a0breaking", 2),
    ],
)
def test_words_are_runs_between_spaces_and_han_characters(text: str, words: int) -> None:
    assert count_words(text) == words


def test_byte_perplexity_is_two_to_the_bits_per_byte() -> None:
    columns = {"nll_nats": np.array([31.0, 2.5]), "bytes": np.array([20, 3])}
    assert BYTE_PERPLEXITY.compute(columns) == pytest.approx(2 ** BITS_PER_BYTE.compute(columns), rel=1e-12)


def test_a_uniform_model_has_the_size_of_its_vocabulary_as_perplexity() -> None:
    tokens = np.array([5, 1, 9])
    columns = {"nll_nats": tokens * math.log(4096), "tokens": tokens}
    assert PERPLEXITY.compute(columns) == pytest.approx(4096)


def test_a_hopeless_model_has_infinite_perplexity_without_a_warning() -> None:
    assert PERPLEXITY.compute({"nll_nats": np.array([1e6]), "tokens": np.array([1])}) == math.inf


def test_empty_texts_have_no_bits_per_byte() -> None:
    with pytest.raises(DataError, match="no bytes to divide nll_nats by: the texts are empty"):
        BITS_PER_BYTE.compute({"nll_nats": np.array([2.0]), "bytes": np.array([0])})


def test_conventions_of_a_measurement_stand_before_the_version() -> None:
    signature = BITS_PER_BYTE.sign({"ctx": 1024, "stride": 512})
    assert signature == "bits_per_byte|bytes:utf-8|eos:scored|ctx:1024|stride:512|v1"
    assert BITS_PER_BYTE.sign({}) == BITS_PER_BYTE.signature
