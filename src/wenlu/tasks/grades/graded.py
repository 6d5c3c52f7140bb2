"""What was found of texts that are graded."""

from __future__ import annotations

from dataclasses import dataclass

from wenlu.corpus.ragged import Values


@dataclass(frozen=True)
class Graded:
    """What was found of each trait.

    Attributes:
        scores: clipped to the scale, then rounded to a grade.
        expected: before it was rounded; of an ordinal head the mean grade.
        probabilities: of each grade, of each trait; empty where the head gives none.
    """

    scores: tuple[float, ...]
    expected: tuple[float, ...]
    probabilities: tuple[tuple[float, ...], ...] = ()
    prompt: str | None = None


@dataclass(frozen=True)
class Found:
    """Of n texts: (n, T) scores and expected scores, and (n, K) probabilities of each trait where there are any."""

    scores: Values
    expected: Values
    chances: tuple[Values, ...] = ()

    def each(self) -> list[Graded]:
        return [
            Graded(
                tuple(self.scores[row].tolist()),
                tuple(self.expected[row].tolist()),
                tuple(tuple(chances[row].tolist()) for chances in self.chances),
            )
            for row in range(len(self.scores))
        ]
