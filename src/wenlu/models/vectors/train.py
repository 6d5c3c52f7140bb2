"""Train word vectors with gensim (extra `vectors`)."""

from __future__ import annotations

import time
from collections.abc import Iterable, Iterator
from typing import Any

from wenlu.errors import DataError, MissingExtra
from wenlu.models.vectors.config import VectorsConfig
from wenlu.models.vectors.ngrams import NgramVectors
from wenlu.models.vectors.vectors import WordVectors
from wenlu.progress import QUIET, Progress

MAX_SENTENCE_WORDS = 10_000
"""gensim passes over what a sentence has beyond these."""

_EVERY = 1000


def train_vectors(
    config: VectorsConfig,
    sentences: Iterable[list[str]],
    *,
    min_count: int = 5,
    seed: int = 0,
    progress: Progress = QUIET,
) -> WordVectors:
    """Train on sentences of words; with one worker a pure function of its arguments.

    Args:
        sentences: read `epochs + 1` times, so no iterator; of at most MAX_SENTENCE_WORDS words each.
        min_count: rarer words have no vector.

    Raises:
        MissingExtra: gensim is not installed.
        DataError: no word occurs so often.
    """
    counted = _Counted(sentences, progress)
    model = _model(config, min_count, seed)
    progress.start("words", unit="sentences")
    model.build_vocab(corpus_iterable=counted)
    if not len(model.wv):
        raise DataError(
            f"no word occurs {min_count} times in {counted.words:,} words; give more text or a smaller words.min_count"
        )
    progress.finish(f"{len(model.wv):,} words of {counted.words:,} in {counted.sentences:,} sentences")
    progress.start("vectors", config.epochs * counted.sentences, "sentences")
    begin, before = time.perf_counter(), counted.words
    counted.begin()
    model.train(
        corpus_iterable=counted,
        total_examples=model.corpus_count,
        total_words=model.corpus_total_words,
        epochs=config.epochs,
        start_alpha=config.lr,
        end_alpha=config.final_lr,
    )
    speed = (counted.words - before) / (time.perf_counter() - begin)
    progress.finish(f"{config.epochs} epochs, {speed:,.0f} words/s")
    return _taken(model, config)


def gensim_settings(config: VectorsConfig, min_count: int, seed: int) -> dict[str, Any]:
    """The settings by gensim's names."""
    sampling = config.loss == "negative-sampling"
    settings: dict[str, Any] = {
        "sg": int(config.architecture == "skip-gram"),
        "hs": int(not sampling),
        "negative": config.negatives if sampling else 0,
        "ns_exponent": config.negative_exponent,
        "vector_size": config.size,
        "window": config.window,
        "shrink_windows": not config.fixed_window,
        "epochs": config.epochs,
        "sample": config.subsample,
        "alpha": config.lr,
        "min_alpha": config.final_lr,
        "cbow_mean": int(config.context == "mean"),
        "min_count": min_count,
        "max_final_vocab": config.max_words,
        "workers": config.workers,
        "seed": seed % 2**32,
    }
    if config.algorithm == "fasttext":
        settings |= {"min_n": config.shortest_ngram, "max_n": config.longest_ngram, "bucket": config.buckets}
    return settings


class _Counted:
    """Sentences that tell how far their reader is."""

    def __init__(self, sentences: Iterable[list[str]], progress: Progress) -> None:
        self._sentences = sentences
        self._progress = progress
        self.begin()
        self.words = 0

    def begin(self) -> None:
        self.sentences = 0

    def __iter__(self) -> Iterator[list[str]]:
        for sentence in self._sentences:
            self.sentences += 1
            self.words += len(sentence)
            if self.sentences % _EVERY == 0:
                self._progress.update(self.sentences, words=f"{self.words:,}")
            yield sentence


def _model(config: VectorsConfig, min_count: int, seed: int) -> Any:
    try:
        from gensim.models import FastText, Word2Vec
    except ImportError as error:
        raise MissingExtra("gensim", extra="vectors", purpose="train word vectors") from error
    kind = FastText if config.algorithm == "fasttext" else Word2Vec
    return kind(**gensim_settings(config, min_count, seed))


def _taken(model: Any, config: VectorsConfig) -> WordVectors:
    """The vectors of a trained model of gensim."""
    ngrams = None
    if config.algorithm == "fasttext":
        ngrams = NgramVectors(config.shortest_ngram, config.longest_ngram, model.wv.vectors_ngrams)
    return WordVectors(tuple(model.wv.index_to_key), model.wv.vectors, ngrams)
