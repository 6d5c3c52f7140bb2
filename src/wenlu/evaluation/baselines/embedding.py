"""Cosine of TF-IDF of words and characters: what learnt embeddings have to beat at finding a text's counterpart."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from wenlu.corpus.ragged import Values
from wenlu.evaluation.baselines.tfidf import words_and_characters
from wenlu.tasks.embedding import Embedding
from wenlu.tasks.labelled.matching import Candidates, Embedded, Match, places


@dataclass(frozen=True)
class TermMatcher:
    """A Predictor of `Embedding`."""

    vectoriser: Any

    def answer(self, examples: Sequence[Match]) -> list[Embedded]:
        """The place of each positive, without vectors. Raises DataError for an example that has none."""
        candidates = Candidates.of(examples)
        anchors = self._unit([example.anchor for example in examples])
        passages = self._unit(candidates.texts).T.tocsc()

        def similar(rows: Values) -> Values:
            found: Values = (anchors[rows] @ passages).toarray()
            return found

        nothing = Embedded(np.empty(0))
        return [
            replace(nothing, rank=rank, similarity=similarity)
            for rank, similarity in zip(*places(similar, candidates), strict=True)
        ]

    def _unit(self, texts: Sequence[str]) -> Any:
        from sklearn.preprocessing import normalize

        return normalize(self.vectoriser.transform(texts)).tocsr()


def fit(task: Embedding, examples: Sequence[Match]) -> TermMatcher:  # noqa: ARG001
    """Terms of a single text count too, for the rarest words tell most. Raises ResourceError where scikit-learn is not
    installed.
    """
    texts = dict.fromkeys(text for example in examples for text in (example.anchor, example.positive or ""))
    return TermMatcher(words_and_characters(min_df=1).fit(list(texts)))
