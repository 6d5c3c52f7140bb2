"""What was answered to the text of the training part that is most like a new one."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any, Self

import numpy as np

from wenlu.errors import ResourceError

SIMILARITIES_AT_ONCE = 2**24
"""Products of a text with all training texts, in one block: at most 128 MB as float64."""


@dataclass(frozen=True)
class Nearest:
    """`features` are those of the training texts, a row each, of length 1; `answers` what belongs to them."""

    vectoriser: Any
    features: Any
    answers: tuple[str, ...]

    @classmethod
    def fit(cls, texts: Sequence[str], answers: Sequence[str]) -> Self:
        """TF-IDF of one to four characters, which serves languages with and without spaces alike.

        Raises ResourceError where scikit-learn is not installed.
        """
        try:
            from sklearn.feature_extraction.text import TfidfVectorizer
        except ImportError as error:
            raise ResourceError("the baseline needs scikit-learn: pip install 'wenlu[tasks]'") from error
        vectoriser = TfidfVectorizer(analyzer="char", ngram_range=(1, 4), sublinear_tf=True, dtype=np.float32)
        return cls(vectoriser, vectoriser.fit_transform(texts), tuple(answers))

    def answers_to(self, texts: Sequence[str]) -> list[str]:
        """The first of those most alike; where nothing is alike, the first of all."""
        found = self.vectoriser.transform(texts)
        places = (place for block in self._blocks(found) for place in np.asarray(block.argmax(axis=1)).ravel())
        return [self.answers[place] for place in places]

    def _blocks(self, found: Any) -> Iterator[Any]:
        """Cosines of some texts with all training texts at a time, as sparse matrices."""
        rows = max(1, SIMILARITIES_AT_ONCE // len(self.answers))
        turned = self.features.T.tocsr()
        for start in range(0, found.shape[0], rows):
            yield found[start : start + rows] @ turned
