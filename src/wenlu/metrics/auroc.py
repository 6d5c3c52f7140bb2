"""Area under the ROC curve: how often a positive example gets a higher score than a negative one."""

from __future__ import annotations

import numpy as np

from wenlu.metrics.metric import Column, Metric, quotient
from wenlu.metrics.one_versus_rest import MacroOneVersusRest, OfSecondClass
from wenlu.metrics.threshold_counts import threshold_counts


def roc_area(score: Column, positive: Column, times: Column) -> Column:
    """(n,) scores, 0 or 1, and (n, R) counts; equal scores count half. nan where all are positive, or none is."""
    _, positives, negatives = threshold_counts(score, positive, times)
    won = 2 * positives - _steps(positives)  # twice the positives above, and once those that are equal
    return quotient((won * _steps(negatives)).sum(axis=0), 2 * positives[-1] * negatives[-1])


def _steps(counts: Column) -> Column:
    return np.diff(counts, axis=0, prepend=0)


AUROC = Metric(
    name="auroc",
    unit="fraction",
    better="higher",
    needs=("gold", "probabilities"),
    compute=OfSecondClass(roc_area),
    signature="auroc|positive:1|ties:half|v1",
    source="sklearn.metrics.roc_auc_score",
)
"""Of two classes; `probabilities` is (n, 2)."""

MACRO_AUROC = Metric(
    name="macro_auroc",
    unit="fraction",
    better="higher",
    needs=("gold", "probabilities"),
    compute=MacroOneVersusRest(roc_area),
    signature="macro_auroc|average:macro|one-vs-rest|classes:defined|ties:half|v1",
    source="sklearn.metrics.roc_auc_score",
)
