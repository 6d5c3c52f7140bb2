"""Pairs of texts that belong together: as examples, in batches, and found among all others of their split."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, Self

import numpy as np

from wenlu.corpus.examples import Examples
from wenlu.corpus.packing import Ids
from wenlu.corpus.ragged import Ragged, Values
from wenlu.errors import DataError

NOBODY = -1
AT_ONCE = 1024
TIE = 1e-9
"""Similarities that are closer than this are in an order of chance, the same for all anchors."""


@dataclass(frozen=True)
class Match:
    """A text, one that belongs to it (None: unknown), some that do not, and how alike the two are where people said."""

    anchor: str
    positive: str | None = None
    negatives: tuple[str, ...] = ()
    score: float | None = None
    id: str = ""


@dataclass(frozen=True, eq=False)
class Embedded:
    """The vector of an anchor; where its positive is known, the place from 1 among all positives of the split at which
    it stands, and their similarity."""

    vector: Values
    rank: int | None = None
    similarity: float | None = None


class Matches(Examples):
    """Anchors as rows, and the distinct texts that they are compared with.

    Attributes:
        passages: token ids of each distinct positive and negative.
        labels: (R, 2 + N) which anchor's text the row has (equal texts have one number); which passage is its positive;
            and which ones are its negatives, NOBODY where it has fewer.
    """

    def __init__(self, inputs: Ragged, *, passages: Ragged, labels: Values, **facts: Any) -> None:
        super().__init__(inputs, labels=labels, **facts)
        self.passages = passages

    def passages_of(self, places: Ids) -> tuple[Ids, Values]:
        """(P,) the distinct passages of rows, and their labels (B, 2 + N) with places among those P."""
        assert self.labels is not None, "matches have labels"
        labels = self.labels[places]
        needed = np.unique(labels[:, 1:])
        needed = needed[needed != NOBODY]
        local = np.where(labels[:, 1:] == NOBODY, NOBODY, np.searchsorted(needed, labels[:, 1:]))
        return needed, np.concatenate([labels[:, :1], local], axis=1)


def numbered(examples: Sequence[Match]) -> tuple[list[str], Values]:
    """The distinct positives and negatives of examples that all have a positive, and `Matches.labels`."""
    anchors: dict[str, int] = {}
    passages: dict[str, int] = {}
    labels = np.full((len(examples), 2 + max(len(example.negatives) for example in examples)), NOBODY)
    for row, example in zip(labels, examples, strict=True):
        assert example.positive is not None, "only examples with a positive are compared"
        texts = (example.positive, *example.negatives)
        row[0] = anchors.setdefault(example.anchor, len(anchors))
        row[1 : 1 + len(texts)] = [passages.setdefault(text, len(passages)) for text in texts]
    return [*passages], labels


def belong(examples: Sequence[Match]) -> Values:
    """(n,) whether anchor and positive do: those without a score, and those with at least half of the highest possible
    one, which is 1, or 5 where one is over 1."""
    scores = np.array([np.nan if example.score is None else example.score for example in examples], np.float64)
    highest = 5.0 if np.any(scores > 1) else 1.0
    return np.isnan(scores) | (scores >= highest / 2)


@dataclass(frozen=True)
class Candidates:
    """Where the positive of each example is looked for.

    Attributes:
        texts: the distinct positives, sorted, so that the order of the examples does not matter.
        own: (n,) which of them is the example's.
        alike: of each example those that belong to an equal anchor, its own among them; they are no competitors.
    """

    texts: tuple[str, ...]
    own: Ids
    alike: tuple[Ids, ...]

    @classmethod
    def of(cls, examples: Sequence[Match]) -> Self:
        """Raises DataError for an example without a positive."""
        positives = []
        for example in examples:
            if example.positive is None:
                raise DataError(f"{example.id}: no positive to compare with")
            positives.append(example.positive)
        matches = belong(examples).tolist()
        return cls.between([example.anchor for example in examples], positives, matches)

    @classmethod
    def between(cls, anchors: Sequence[str], positives: Sequence[str], matches: Sequence[bool] | None = None) -> Self:
        """Where anchors look for their positives; all of them belong together unless `matches` says which do."""
        texts = tuple(sorted(set(positives)))
        numbers = {text: number for number, text in enumerate(texts)}
        own = np.array([numbers[text] for text in positives], np.int64)
        groups: dict[str, set[int]] = {}
        for anchor, number, is_match in zip(anchors, own.tolist(), matches or [True] * len(own), strict=True):
            if is_match:
                groups.setdefault(anchor, set()).add(number)
        alike = tuple(
            np.array(sorted({*groups.get(anchor, ()), number}), np.int64)
            for anchor, number in zip(anchors, own.tolist(), strict=True)
        )
        return cls(texts, own, alike)


def places(similar: Callable[[Ids], Values], candidates: Candidates) -> tuple[list[int], list[float]]:
    """The rank of each example's own candidate, 1 and how many others are strictly more similar; and its similarity.

    Equal similarities are put in an order of chance first, so that a model to which all texts are alike is not perfect.
    One that is not a number stands before all others.

    Args:
        similar: from the numbers of b examples to their similarities (b, P) with all candidates.
    """
    chance = TIE * np.random.default_rng(0).random(len(candidates.texts))
    ranks: list[int] = []
    similarities: list[float] = []
    for start in range(0, len(candidates.own), AT_ONCE):
        rows = np.arange(start, min(start + AT_ONCE, len(candidates.own)))
        own = candidates.own[rows]
        found = similar(rows).astype(np.float64)
        similarities += found[np.arange(len(rows)), own].tolist()
        found += chance
        before = ~(found <= found[np.arange(len(rows)), own][:, None])
        for row, alike in zip(before, candidates.alike[start : start + AT_ONCE], strict=True):
            row[alike] = False
        ranks += (1 + before.sum(axis=1)).tolist()
    return ranks, similarities
