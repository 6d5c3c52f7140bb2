"""What a threshold lets through: the counts behind ROC and precision-recall curves."""

from __future__ import annotations

import numpy as np

from wenlu.metrics.metric import Column


def threshold_counts(score: Column, positive: Column, times: Column) -> tuple[Column, Column, Column]:
    """What lies at or above each distinct score: equal scores pass together, so that their order cannot matter.

    Args:
        score: (n,).
        positive: (n,) 0 or 1.
        times: (n, R) float64 whole numbers, how often each example counts; R last, as rows are quick to reorder.

    Returns:
        (G,) the distinct scores from the highest down, and (G, R) how many positives reach each, and others.
    """
    order = np.argsort(-score, kind="stable")
    score, times = score[order], times[order]
    positives = np.cumsum(times * positive[order, None], axis=0)
    others = np.cumsum(times, axis=0) - positives
    last = np.append(np.flatnonzero(np.diff(score)), len(score) - 1)  # of each run of equal scores
    if len(last) == len(score):
        return score, positives, others
    return score[last], positives[last], others[last]
