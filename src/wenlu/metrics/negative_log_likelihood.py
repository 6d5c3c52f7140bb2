"""Negative log-likelihood: what the right class costs under the probabilities."""

from __future__ import annotations

import numpy as np

from wenlu.metrics.metric import Column, Metric, OfSums, mean, with_count


def _nats(gold: Column, probabilities: Column) -> Column:
    with np.errstate(divide="ignore"):
        return with_count(-np.log(probabilities[np.arange(len(gold)), gold]))


NEGATIVE_LOG_LIKELIHOOD = Metric(
    name="negative_log_likelihood",
    unit="nats/example",
    better="lower",
    needs=("gold", "probabilities"),
    compute=OfSums(("gold", "probabilities"), mean, _nats),
    signature="negative_log_likelihood|clip:none|v1",
    source="sklearn.metrics.log_loss",
)
"""Infinite where the right class was given a probability of 0; the source clips."""
