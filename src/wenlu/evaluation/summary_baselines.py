"""Summaries without a model: the first sentences of a text, or its most central ones. They keep a model honest."""

from __future__ import annotations

from collections import defaultdict
from typing import Any

import numpy as np

from wenlu.corpus.steps.sentences import sentences_of
from wenlu.corpus.steps.words import words_of

Floats = np.ndarray[Any, np.dtype[np.float64]]

_DAMPING = 0.85
_TOLERANCE = 1e-6


def lead(text: str, sentences: int = 3) -> str:
    """The first sentences, one a line; news put what matters first, so lead-3 is hard to beat there."""
    assert sentences > 0, f"{sentences} sentences are no summary"
    return "\n".join(sentences_of(text)[:sentences])


def textrank(text: str, sentences: int = 3) -> str:
    """The sentences that share most words with others that do, one a line, in the order of the text.

    Mihalcea & Tarau 2004, TextRank: bringing order into texts, section 4; of equals the earlier one. Chinese words
    are rjieba's; raises MissingExtra where a text needs it and it is not installed.
    """
    assert sentences > 0, f"{sentences} sentences are no summary"
    found = sentences_of(text)
    scores = _scores(_similarities([words_of(sentence.lower(), punctuation=False) for sentence in found]))
    best = np.argsort(-scores.round(6), kind="stable")[:sentences]
    return "\n".join(found[i] for i in sorted(best))


def _similarities(sentences: list[list[str]]) -> Floats:
    """(n, n): words that two sentences share, over the sum of the logarithms of their lengths; 0 on the diagonal."""
    holders: dict[str, list[int]] = defaultdict(list)
    for i, words in enumerate(sentences):
        for word in dict.fromkeys(words):
            holders[word].append(i)
    shared = np.zeros((len(sentences), len(sentences)))
    for places in holders.values():
        shared[np.ix_(places, places)] += 1
    np.fill_diagonal(shared, 0)
    logs = np.log([max(1, len(words)) for words in sentences])
    lengths = logs[:, None] + logs[None, :]
    similarities = np.zeros_like(shared)
    np.divide(shared, lengths, out=similarities, where=lengths > 0)
    return similarities


def _scores(weights: Floats) -> Floats:
    """(n,): what a sentence gets from its neighbours, each of which deals out its own score by weight."""
    given = weights.sum(axis=1, keepdims=True)
    dealt = np.divide(weights, given, out=np.zeros_like(weights), where=given > 0)
    scores: Floats = np.ones(len(weights))
    while True:
        before, scores = scores, (1 - _DAMPING) + _DAMPING * (scores @ dealt)
        if np.abs(scores - before).max(initial=0) < _TOLERANCE:
            return scores
