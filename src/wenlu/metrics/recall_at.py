"""Recall at k: of what is relevant to a query, the share among the first k; for one relevant thing, the hit rate."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from wenlu.metrics.metric import Column, Metric, OfSums, mean, quotient
from wenlu.metrics.ranks import as_rows, mean_over_queries


@dataclass(frozen=True)
class _Found:
    k: int

    def __call__(self, ranks: Column) -> Column:
        rows = as_rows(ranks)
        return mean_over_queries(quotient((rows <= self.k).sum(axis=1), (~np.isnan(rows)).sum(axis=1)), rows)


def recall_at(k: int, of: str = "") -> Metric:
    """Args:
    of: what is looked for, where that is of several kinds: `image_recall_at_1` is computed from `image_ranks`.
    """
    assert k > 0, f"no first {k}"
    kind = f"{of}_" if of else ""
    column = f"{kind}ranks"
    return Metric(
        name=f"{kind}recall_at_{k}",
        unit="fraction",
        better="higher",
        needs=(column,),
        compute=OfSums((column,), mean, _Found(k)),
        signature=f"{kind}recall_at_{k}|average:queries|queries:with-relevant|ties:strictly-greater|v1",
        source="Manning, Raghavan & Schütze 2008, Introduction to information retrieval, section 8.4",
    )
