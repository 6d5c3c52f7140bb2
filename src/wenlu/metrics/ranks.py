"""Where the relevant things stand in a ranking, one row a query.

The column `ranks` is (n, R) float64: the place, from 1, of each thing that is relevant to the query; inf where it
was not found; nan fills the rows of queries with fewer. The column `gains` is (n, R): how relevant each is.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from wenlu.metrics.metric import Column, Columns


def rank_columns(scores: Sequence[Column], gains: Sequence[Column]) -> Columns:
    """`ranks` and `gains` from the scores and the gains of the candidates of each query.

    Only what scores strictly higher stands before a relevant thing; relevant things with equal scores take
    consecutive places, the most relevant first. So a ranking that scores all alike looks perfect: break its ties
    at random first, where that can happen.

    Args:
        scores: an (M,) array a query, higher is nearer to the top; -inf for what was not retrieved.
        gains: alike, 0 for what is not relevant.
    """
    assert len(scores) == len(gains), f"scores of {len(scores)} queries and gains of {len(gains)}"
    width = max((int((gain > 0).sum()) for gain in gains), default=0)
    columns = {"ranks": np.full((len(scores), width), np.nan), "gains": np.zeros((len(scores), width))}
    for row, (score, gain) in enumerate(zip(scores, gains, strict=True)):
        order = np.lexsort((-gain, -score))
        relevant = order[gain[order] > 0]
        found = score[relevant] > -np.inf
        columns["ranks"][row, : len(relevant)] = np.where(found, _places(gain[order]), np.inf)
        columns["gains"][row, : len(relevant)] = gain[relevant]
    return columns


def _places(gains_in_order: Column) -> Column:
    places: Column = np.flatnonzero(gains_in_order > 0) + 1
    return places


def as_rows(ranks: Column) -> Column:
    """(n, R) ranks; (n,) where each query has one relevant thing."""
    return ranks.reshape(len(ranks), -1)


def mean_over_queries(values: Column, ranks: Column) -> Column:
    """(n, 2) of `values` (n,), for `mean` to finish; queries to which nothing is relevant are left out."""
    judged = ~np.isnan(ranks).all(axis=1)
    return np.stack([np.where(judged, values, 0.0), judged], axis=1)
