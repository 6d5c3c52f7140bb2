"""One metric of one measurement: its value, its interval and its conventions."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from wenlu.evaluation.bootstrap import interval
from wenlu.evaluation.result import Score
from wenlu.evaluation.settings import EvaluateConfig
from wenlu.metrics import Columns, Metric


def score(
    metric: Metric,
    columns: Columns,
    clusters: Sequence[str],
    conventions: Mapping[str, str],
    config: EvaluateConfig,
    *,
    name: str | None = None,
) -> Score:
    """What `metric` says of the examples of `columns`, under its own name unless another is given."""
    found = interval(
        metric, columns, clusters, confidence=config.confidence, resamples=config.resamples, seed=config.seed
    )
    return Score(
        name=metric.name if name is None else name,
        value=found.value,
        low=found.low,
        high=found.high,
        n=len(clusters),
        unit=metric.unit,
        better=metric.better,
        signature=metric.sign(conventions),
    )
