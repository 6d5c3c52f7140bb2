"""A translation memory: the translation of the training text that is most like the source."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from wenlu.errors import ResourceError
from wenlu.tasks.labelled.writing import TextPair, WrittenText
from wenlu.tasks.translation import Translation

SIMILARITIES_AT_ONCE = 2**24
"""Products of a source with all training texts, in one block: at most 128 MB as float64."""


@dataclass(frozen=True)
class TranslationMemory:
    """A Predictor of `Translation`: `features` are those of the training sources, a row each, of length 1."""

    vectoriser: Any
    features: Any
    targets: tuple[str, ...]

    def answer(self, examples: Sequence[TextPair]) -> list[WrittenText]:
        """The first of those most alike; where nothing is alike, the first of all."""
        found = self.vectoriser.transform([example.source for example in examples])
        nearest = (place for block in self._blocks(found) for place in np.asarray(block.argmax(axis=1)).ravel())
        return [WrittenText(self.targets[place]) for place in nearest]

    def _blocks(self, found: Any) -> Iterator[Any]:
        """Cosines of some sources with all training sources at a time, as sparse matrices."""
        rows = max(1, SIMILARITIES_AT_ONCE // len(self.targets))
        turned = self.features.T.tocsr()
        for start in range(0, found.shape[0], rows):
            yield found[start : start + rows] @ turned


def fit(task: Translation, examples: Sequence[TextPair]) -> TranslationMemory:  # noqa: ARG001
    """TF-IDF of one to four characters, which serves languages with and without spaces alike.

    Raises ResourceError where scikit-learn is not installed.
    """
    try:
        from sklearn.feature_extraction.text import TfidfVectorizer
    except ImportError as error:
        raise ResourceError("the baseline needs scikit-learn: pip install 'wenlu[tasks]'") from error
    known = [example for example in examples if example.target is not None]
    vectoriser = TfidfVectorizer(analyzer="char", ngram_range=(1, 4), sublinear_tf=True, dtype=np.float32)
    features = vectoriser.fit_transform([example.source for example in known])
    return TranslationMemory(vectoriser, features, tuple(example.target or "" for example in known))
