"""Interpolated modified Kneser–Ney: the n-gram model that a neural one has to beat."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from wenlu.evaluation.ngrams import ABSENT, Ints, NgramCounts, Positions

Floats = np.ndarray[Any, np.dtype[np.float64]]

UNDEFINED_DISCOUNTS = (0.5, 1.0, 1.5)
"""For n-grams seen once, twice, more often, where counts of counts do not tell (tiny or very regular data)."""


def discounts(counts: Ints) -> Floats:
    """What to take from an n-gram of count 0, 1, 2, 3 and more: (4,).

    Chen & Goodman 1999, An empirical study of smoothing techniques for language modeling, equation 26. Where a
    count of counts is 0, or a discount leaves the range from 0 to its count, UNDEFINED_DISCOUNTS stand for all.
    """
    n1, n2, n3, n4 = (int((counts == count).sum()) for count in (1, 2, 3, 4))
    if min(n1, n2, n3, n4) > 0:
        y = n1 / (n1 + 2 * n2)
        estimated = (1 - 2 * y * n2 / n1, 2 - 3 * y * n3 / n2, 3 - 4 * y * n4 / n3)
        if all(0 < value <= count for count, value in enumerate(estimated, start=1)):
            return np.array([0.0, *estimated])
    return np.array([0.0, *UNDEFINED_DISCOUNTS])


@dataclass(frozen=True)
class Level:
    """One order, ready to interpolate: `P_k(w | h) = kept[hw] + left[h] * P_(k-1)(w | h')`.

    Attributes:
        kept: (M + 1,) discounted share of each k-gram in its context; 0, the last, for those never seen.
        left: (parents + 1,) mass that the discounts free; 1 in contexts never continued or, the last, never seen.
    """

    kept: Floats
    left: Floats


class KneserNey:
    """A fitted n-gram model over token ids.

    Orders below the highest count the different tokens on the left of a k-gram instead of its occurrences,
    except that a k-gram at the beginning of a document, which has nothing on its left, keeps its occurrences
    (as in Heafield et al. 2013, Scalable modified Kneser-Ney language model estimation). The lowest level is
    uniform over the vocabulary.
    """

    def __init__(self, counts: NgramCounts, order: int) -> None:
        assert 1 <= order <= len(counts.orders) + 1, f"order {order} was not counted"
        self.counts = counts
        self.order = order
        self.levels = tuple(self._level(k) for k in range(1, order + 1))

    def negative_log_likelihoods(self, documents: Iterable[Sequence[int] | Ints]) -> list[Floats]:
        """For each document of N tokens the cost in nats of its N + 1 targets, the last being the end of text."""
        positions = Positions.lay(documents, vocab_size=self.counts.vocab_size, eos_id=self.counts.eos_id)
        at = np.flatnonzero(positions.depth > 0)
        costs = -np.log(self._probabilities(positions)[at])
        return np.split(costs, np.flatnonzero(positions.depth[at] == 1)[1:]) if len(at) else []

    def distribution(self, history: Sequence[int]) -> Floats:
        """(V,) probability of each token after `history`, all that the document has so far."""
        tokens = np.arange(self.counts.vocab_size)
        symbols = np.array([self.counts.vocab_size, *history], dtype=np.int64)
        result = self._lowest(tokens)
        rows = symbols
        for order, level in zip(self.counts.orders, self.levels[1:], strict=False):
            context = rows[-1]
            result = level.kept[order.find(context, tokens)] + level.left[context] * result
            rows = order.find(_before(rows), symbols)
        return result

    def _probabilities(self, positions: Positions) -> Floats:
        """(P,) probability of each symbol after those before it in its document; meaningless at BEGIN."""
        result = self._lowest(positions.symbols)
        rows = positions.symbols  # of the (k-1)-gram that ends at each position; none runs across a BEGIN
        for order, level in zip(self.counts.orders, self.levels[1:], strict=False):
            context = _before(rows)
            rows = order.find(context, positions.symbols)
            result = level.kept[rows] + level.left[context] * result
        return result

    def _lowest(self, symbols: Ints) -> Floats:
        unigrams = self.levels[0]
        uniform = 1 / self.counts.vocab_size
        lowest: Floats = unigrams.kept[symbols] + unigrams.left[0] * uniform
        return lowest

    def _level(self, k: int) -> Level:
        if k == 1:
            parent, parents = np.zeros_like(self.counts.unigrams), 1
        else:
            parent = self.counts.orders[k - 2].parent
            parents = self.counts.vocab_size + 1 if k == 2 else len(self.counts.orders[k - 3].codes)
        adjusted = self._adjusted(k)
        discount = discounts(adjusted)[np.minimum(adjusted, 3)]
        total = np.bincount(parent, weights=adjusted, minlength=parents)
        freed = np.bincount(parent, weights=discount, minlength=parents)
        left = np.divide(freed, total, out=np.ones(parents), where=total > 0)
        kept = (adjusted - discount) / total[parent]
        return Level(np.append(kept, 0.0), np.append(left, 1.0))

    def _adjusted(self, k: int) -> Ints:
        """(M,) occurrences at the highest order and at beginnings, else the number of different tokens on the left."""
        occurrences = self.counts.unigrams if k == 1 else self.counts.orders[k - 2].count
        if k == self.order:
            return occurrences
        different = np.bincount(self.counts.orders[k - 1].suffix, minlength=len(occurrences))
        return different if k == 1 else np.where(self.counts.orders[k - 2].begins, occurrences, different)


def _before(rows: Ints) -> Ints:
    """What stands one position earlier."""
    return np.concatenate([[ABSENT], rows[:-1]])
