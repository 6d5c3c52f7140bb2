"""Mean reciprocal rank: one over the place of the first relevant thing, 0 where none is found."""

from __future__ import annotations

import numpy as np

from wenlu.metrics.metric import Column, Metric, OfSums, mean
from wenlu.metrics.ranks import as_rows, mean_over_queries


def _reciprocals(ranks: Column) -> Column:
    rows = as_rows(ranks)
    first = np.where(np.isnan(rows), np.inf, rows).min(axis=1, initial=np.inf)
    return mean_over_queries(1 / first, rows)


MRR = Metric(
    name="mrr",
    unit="reciprocal rank",
    better="higher",
    needs=("ranks",),
    compute=OfSums(("ranks",), mean, _reciprocals),
    signature="mrr|depth:all|queries:with-relevant|ties:strictly-greater|v1",
    source="Voorhees 1999, The TREC-8 question answering track report",
)
