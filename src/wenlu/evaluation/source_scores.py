"""How good a model is on each source of the held-out examples."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from typing import Any

import numpy as np

from wenlu.errors import DataError
from wenlu.evaluation.bootstrap import interval
from wenlu.evaluation.settings import EvaluateConfig
from wenlu.metrics import Columns, Metric

MOST = 50
"""Sources that are told; with more of them a source is hardly one, as where each file is."""


def source_scores(
    metric: Metric, columns: Columns, clusters: Sequence[str], sources: Sequence[str], config: EvaluateConfig
) -> list[dict[str, Any]]:
    """The metric on the examples of each source, the largest first; nothing where all are of one.

    A source on which nothing can be computed, as a correlation of equal grades, has null for a value.
    """
    counts = Counter(sources)
    if not 2 <= len(counts) <= MOST:
        return []
    names, found = np.array(sources), []
    for name, count in counts.most_common():
        places: list[int] = np.flatnonzero(names == name).tolist()
        own = {key: columns[key][places] for key in metric.needs}
        near = [clusters[place] for place in places]
        row = {"source": name, "metric": metric.name, "n": count, "unit": metric.unit, "better": metric.better}
        try:
            told = interval(
                metric, own, near, confidence=config.confidence, resamples=config.resamples, seed=config.seed
            )
        except DataError:
            found.append({**row, "value": None, "low": None, "high": None})
        else:
            found.append({**row, "value": told.value, "low": told.low, "high": told.high})
    return found
