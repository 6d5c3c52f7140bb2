"""The tag that each word had most often: what a tagger that reads its neighbours has to beat."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from wenlu.tasks.tagging.decoding import TaggedWords, decoded
from wenlu.tasks.tagging.examples import TaggedText
from wenlu.tasks.token_classification import TokenClassification

PRIOR = 1e-3
"""How often each word counts as seen with all tags, as often as they are: the rank of those that it never had."""
Counts = np.ndarray[Any, np.dtype[np.float64]]


@dataclass(frozen=True)
class CommonestTags:
    """A Predictor of `TokenClassification`: by the logarithm of each tag's share, and only as the scheme allows."""

    task: TokenClassification
    counts: dict[str, Counts]
    shares: Counts

    def answer(self, examples: Sequence[TaggedText]) -> list[TaggedWords]:
        texts = [example.words for example in examples]
        scores = [np.stack([self._logarithms(word) for word in words.texts]) for words in texts]
        return decoded(texts, scores, self.task.tagset, None)

    def _logarithms(self, word: str) -> Counts:
        seen = self.counts.get(word, 0.0) + PRIOR * self.shares
        found: Counts = np.log(seen / seen.sum())
        return found


def fit(task: TokenClassification, examples: Sequence[TaggedText]) -> CommonestTags:
    """A word that the examples do not have gets the commonest tag of all."""
    counts: dict[str, Counts] = {}
    size = len(task.tagset.tags)
    for example in examples:
        if example.is_answered:
            for word, number in zip(example.words.texts, task.classes(example).tolist(), strict=True):
                counts.setdefault(word, np.zeros(size))[number] += 1
    total = sum(counts.values(), np.zeros(size)) + PRIOR
    return CommonestTags(task, counts, total / total.sum())
