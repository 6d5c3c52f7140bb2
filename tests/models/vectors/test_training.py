"""Training is gensim's, and what is taken from it answers as gensim does."""

from __future__ import annotations

import builtins
import random
import re
from typing import Any

import numpy as np
import pytest
from gensim.models import FastText, Word2Vec
from hypothesis import given
from hypothesis import strategies as st
from pydantic import ValidationError

from wenlu.errors import DataError, MissingExtra
from wenlu.models.vectors import VectorsConfig, WordVectors, train_vectors
from wenlu.models.vectors.ngrams import hash_ngram, ngrams
from wenlu.progress import Progress

CHINESE = ["国王", "王后", "山水", "河流", "苹果", "香蕉", "跑步", "走路"]


def sentences(count: int = 300) -> list[list[str]]:
    draw = random.Random(5)
    words = ["".join(draw.choices("abcdefg", k=draw.randint(1, 9))) for _ in range(60)] + CHINESE
    return [draw.choices(words, weights=range(1, len(words) + 1), k=draw.randint(1, 15)) for _ in range(count)]


def small(**settings: Any) -> VectorsConfig:
    return VectorsConfig(**{"size": 12, "epochs": 2, "buckets": 500, **settings})


@pytest.mark.parametrize(
    ("settings", "theirs"),
    [
        ({}, {"sg": 1, "negative": 5}),
        (
            {"negatives": 3, "negative_exponent": 0.5, "window": 2, "subsample": 0},
            {"sg": 1, "negative": 3, "ns_exponent": 0.5, "window": 2, "sample": 0},
        ),
        ({"loss": "hierarchical-softmax"}, {"sg": 1, "hs": 1, "negative": 0}),
        ({"architecture": "cbow", "context": "sum"}, {"sg": 0, "cbow_mean": 0}),
        (
            {"architecture": "cbow", "loss": "hierarchical-softmax", "fixed_window": True},
            {"hs": 1, "negative": 0, "shrink_windows": False},
        ),
        (
            {"lr": 0.05, "final_lr": 0.01, "max_words": 20},
            {"sg": 1, "alpha": 0.05, "min_alpha": 0.01, "max_final_vocab": 20},
        ),
    ],
    ids=["skip-gram", "sampling", "softmax", "cbow", "cbow-softmax", "rates"],
)
def test_word2vec_is_trained_as_gensim_trains_it_bit_for_bit(settings: dict[str, Any], theirs: dict[str, Any]) -> None:
    ours = train_vectors(small(**settings), sentences(), min_count=3, seed=7)
    model = Word2Vec(sentences(), vector_size=12, epochs=2, min_count=3, seed=7, workers=1, **theirs)
    assert list(ours.words) == model.wv.index_to_key
    np.testing.assert_array_equal(ours.matrix, model.wv.vectors)
    assert ours.ngrams is None


@pytest.mark.parametrize("architecture", ["skip-gram", "cbow"])
def test_fasttext_is_trained_as_gensim_trains_it_bit_for_bit(architecture: str) -> None:
    ours = fasttext(architecture=architecture)
    model = FastText(
        sentences(), vector_size=12, epochs=2, min_count=3, seed=7, workers=1, sg=int(architecture == "skip-gram"),
        min_n=2, max_n=4, bucket=500,
    )  # fmt: skip
    assert list(ours.words) == model.wv.index_to_key
    np.testing.assert_array_equal(ours.matrix, model.wv.vectors)
    assert ours.ngrams is not None
    np.testing.assert_array_equal(ours.ngrams.matrix, model.wv.vectors_ngrams)
    for word in ("unseen", "abc", "gfedcba", "女王", "山", "naïve", "𠀀𠀁x"):
        assert word not in ours
        np.testing.assert_allclose(ours.vector(word), model.wv[word], atol=1e-6)
        assert ours.similarity(word, ours.words[0]) == pytest.approx(model.wv.similarity(word, ours.words[0]), abs=1e-6)
        expected = model.wv.most_similar(word, topn=4)
        found = ours.neighbours([word], count=4)
        assert [n.word for n in found] == [neighbour for neighbour, _ in expected]
        assert [n.score for n in found] == pytest.approx([score for _, score in expected], abs=1e-6)


def fasttext(**settings: Any) -> WordVectors:
    config = small(algorithm="fasttext", shortest_ngram=2, longest_ngram=4, **settings)
    return train_vectors(config, sentences(), min_count=3, seed=7)


@given(st.text(max_size=12), st.integers(1, 4), st.integers(0, 4))
def test_ngrams_and_their_hashes_are_those_of_gensim(word: str, shortest: int, more: int) -> None:
    from gensim.models.fasttext_inner import compute_ngrams_bytes, ft_hash_bytes

    ours = list(ngrams(word, shortest, shortest + more))
    assert ours == compute_ngrams_bytes(word, shortest, shortest + more)
    assert [hash_ngram(part) for part in ours] == [ft_hash_bytes(part) for part in ours]


def test_another_seed_gives_other_vectors_and_the_same_seed_the_same() -> None:
    one, again, other = (train_vectors(small(), sentences(), min_count=3, seed=seed) for seed in (1, 1, 2**40))
    np.testing.assert_array_equal(one.matrix, again.matrix)
    assert not np.array_equal(one.matrix, other.matrix)


def test_it_tells_how_far_it_is() -> None:
    class Noted(Progress):
        def __init__(self) -> None:
            self.parts: list[tuple[str, float | None]] = []
            self.done: list[float] = []

        def start(self, name: str, total: float | None = None, unit: str = "") -> None:
            assert unit == "sentences"
            self.parts.append((name, total))
            self.done.append(0)

        def update(self, done: float, **facts: str) -> None:
            assert facts.keys() == {"words"}
            self.done[-1] = done

        def finish(self, summary: str = "") -> None:
            assert summary

    noted = Noted()
    train_vectors(small(), sentences(1500), min_count=3, progress=noted)
    assert noted.parts == [("words", None), ("vectors", 2 * 1500)]
    assert noted.done == [1000, 3000]


def test_text_without_a_frequent_word_is_refused() -> None:
    message = "no word occurs 5 times in 3 words; give more text or a smaller words.min_count"
    with pytest.raises(DataError, match=re.escape(message)):
        train_vectors(small(), [["a", "b"], ["c"]])


def test_without_gensim_the_extra_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    real = builtins.__import__

    def without(name: str, *rest: Any, **more: Any) -> Any:
        if name.startswith("gensim"):
            raise ModuleNotFoundError(name)
        return real(name, *rest, **more)

    monkeypatch.setattr(builtins, "__import__", without)
    with pytest.raises(MissingExtra, match=re.escape("pip install 'wenlu[vectors]'")):
        train_vectors(small(), sentences())


def test_settings_that_do_not_fit_together_are_refused() -> None:
    with pytest.raises(ValidationError, match="shortest_ngram 7 is longer than longest_ngram 6"):
        small(shortest_ngram=7)
    with pytest.raises(ValidationError, match=r"final_lr 0\.5 is greater than lr 0\.025"):
        small(final_lr=0.5)
