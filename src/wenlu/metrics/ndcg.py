"""Normalised discounted cumulative gain at k: what the first k places gain, as a share of what they could."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from wenlu.metrics.metric import Column, Metric, OfSums, mean, quotient
from wenlu.metrics.ranks import as_rows, mean_over_queries


@dataclass(frozen=True)
class _Gained:
    k: int

    def __call__(self, ranks: Column, gains: Column) -> Column:
        rows, gains = as_rows(ranks), as_rows(gains)
        best = -np.sort(-gains, axis=1)
        ideal = self._discounted(np.broadcast_to(np.arange(1.0, best.shape[1] + 1), best.shape), best)
        return mean_over_queries(quotient(self._discounted(rows, gains), ideal), rows)

    def _discounted(self, places: Column, gains: Column) -> Column:
        counted = places <= self.k  # nan and inf are not
        discount = np.log2(1 + np.where(counted, places, 1.0))
        total: Column = np.where(counted, gains / discount, 0.0).sum(axis=1)
        return total


def ndcg(k: int) -> Metric:
    """Gains count as they are, not as powers of two; `gains` is 0 where `ranks` is nan."""
    assert k > 0, f"no first {k}"
    return Metric(
        name=f"ndcg_at_{k}",
        unit="fraction",
        better="higher",
        needs=("ranks", "gains"),
        compute=OfSums(("ranks", "gains"), mean, _Gained(k)),
        signature=f"ndcg_at_{k}|gain:linear|discount:log2|queries:with-relevant|ties:strictly-greater|v1",
        source="Järvelin & Kekäläinen 2002, Cumulated gain-based evaluation of IR techniques; "
        "sklearn.metrics.ndcg_score",
    )
