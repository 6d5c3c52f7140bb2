"""A ranking by chance: what is found without looking."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from wenlu.corpus.packing import Ids
from wenlu.corpus.ragged import Values
from wenlu.tasks.image_text_retrieval import ImageTextRetrieval, Matched
from wenlu.tasks.labelled.matching import Candidates, places
from wenlu.tasks.pictured.task import Pictured


class Chance:
    """A Predictor of `ImageTextRetrieval`."""

    def answer(self, examples: Sequence[Pictured]) -> list[Matched]:
        """The places of pictures and texts in an order that chance makes anew for each."""
        texts, pictures = [example.text or "" for example in examples], [each.picture.sha256 for each in examples]
        both = (Candidates.between(texts, pictures), Candidates.between(pictures, texts))
        nothing = np.empty(0)
        return [Matched(nothing, image, text) for image, text in zip(*map(_ranks, both), strict=True)]


def _ranks(candidates: Candidates) -> list[int]:
    random, many = np.random.default_rng(0), len(candidates.texts)

    def similar(rows: Ids) -> Values:
        return random.random((len(rows), many))

    return places(similar, candidates)[0]


def fit(task: ImageTextRetrieval, examples: Sequence[Pictured]) -> Chance:  # noqa: ARG001
    return Chance()
