"""The section `[vectors]` of a recipe."""

from __future__ import annotations

from typing import Annotated, Literal, Self

from pydantic import Field, NonNegativeFloat, PositiveFloat, PositiveInt, model_validator

from wenlu.config import Config


class VectorsConfig(Config):
    """Word2Vec (Mikolov, Chen, Corrado & Dean 2013, arXiv:1301.3781; Mikolov et al. 2013, arXiv:1310.4546) or
    FastText (Bojanowski et al. 2017, arXiv:1607.04606), trained by gensim."""

    algorithm: Literal["word2vec", "fasttext"] = "word2vec"
    architecture: Literal["skip-gram", "cbow"] = "skip-gram"
    """Predict the words around a word, or a word from those around it."""
    size: PositiveInt = 100
    """Dimensions of a vector."""
    window: PositiveInt = 5
    """Words on either side that count as around; for each word drawn from 1 to so many unless `fixed_window`."""
    fixed_window: bool = False
    epochs: PositiveInt = 5
    loss: Literal["negative-sampling", "hierarchical-softmax"] = "negative-sampling"
    negatives: PositiveInt = 5
    """Words drawn for each true one, by negative sampling."""
    negative_exponent: float = 0.75
    """They are drawn in proportion to their count to this power."""
    subsample: NonNegativeFloat = 1e-3
    """Words with a greater share of the text are left out at times; 0 keeps all."""
    lr: PositiveFloat = 0.025
    final_lr: NonNegativeFloat = 1e-4
    """The rate falls to it in a straight line."""
    context: Literal["mean", "sum"] = "mean"
    """Of the vectors around a word, in CBOW."""
    shortest_ngram: PositiveInt = 3
    longest_ngram: PositiveInt = 6
    """Characters of FastText's n-grams; a word counts with a mark at either end."""
    buckets: Annotated[int, Field(ge=1, le=2**31 - 1)] = 200_000
    """That FastText's n-grams are hashed into; each costs as much memory as a word."""
    max_words: PositiveInt | None = None
    """Keep at most so many words, the most frequent."""
    workers: PositiveInt = 1
    """Threads; only with one do equal seeds give equal vectors."""

    @model_validator(mode="after")
    def _fits(self) -> Self:
        if self.shortest_ngram > self.longest_ngram:
            raise ValueError(f"shortest_ngram {self.shortest_ngram} is longer than longest_ngram {self.longest_ngram}")
        if self.final_lr > self.lr:
            raise ValueError(f"final_lr {self.final_lr} is greater than lr {self.lr}, but the rate falls to it")
        return self
