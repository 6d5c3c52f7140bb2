"""Fit the n-gram that every language model is compared with."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from wenlu.corpus.shards import TokenData
from wenlu.errors import DataError
from wenlu.evaluation.kneser_ney import KneserNey
from wenlu.evaluation.ngrams import NgramCounts
from wenlu.tokenizers import Tokenizer

Tokens = np.ndarray[Any, np.dtype[Any]]

ORDERS = (3, 4, 5, 6)
DEFAULT_ORDER = 5


def fit_ngram(
    data: TokenData,
    tokenizer: Tokenizer,
    *,
    order: int | None,
    max_tokens: int,
    tuning: Sequence[Sequence[int]],
    seed: int,
) -> KneserNey:
    """Fit to the training tokens.

    Args:
        order: None for the best of ORDERS on `tuning`, or DEFAULT_ORDER where that is empty.
        max_tokens: where there are more, documents are drawn at random up to so many.
        tuning: token ids of validation documents.

    Raises:
        DataError: the tokens are of another tokenizer, which would make the comparison unfair.
    """
    if data.tokenizer_fingerprint != tokenizer.fingerprint:
        raise DataError(
            f"{data.folder}: encoded by another tokenizer ({data.tokenizer_fingerprint[:8]}) than the model's "
            f"({tokenizer.fingerprint[:8]}); run the recipe again, or set evaluate.baseline=false"
        )
    assert tokenizer.eos_id is not None, "token data has an end of text, so its tokenizer has"
    candidates = ORDERS if order is None and tuning else (order or DEFAULT_ORDER,)
    counts = NgramCounts.of(
        _documents(data, max_tokens, seed),
        highest=max(candidates),
        vocab_size=tokenizer.vocab_size,
        eos_id=tokenizer.eos_id,
    )
    if len(candidates) == 1:
        return KneserNey(counts, candidates[0])
    models = [KneserNey(counts, candidate) for candidate in candidates]
    return min(models, key=lambda model: sum(cost.sum() for cost in model.negative_log_likelihoods(tuning)))


def _documents(data: TokenData, max_tokens: int, seed: int) -> list[Tokens]:
    order = np.arange(data.num_documents)
    if data.num_tokens > max_tokens:
        order = np.random.default_rng(seed).permutation(order)
        lengths = np.diff(data.document_starts)[order]
        order = np.sort(order[: max(1, int(np.searchsorted(np.cumsum(lengths), max_tokens, side="right")))])
    return [data.document(int(index)) for index in order]
