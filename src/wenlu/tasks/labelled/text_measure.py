"""How written texts are judged: a metric, and its columns of what was written and what was to be written."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np

from wenlu.metrics import ACCURACY, Columns, Metric


@dataclass(frozen=True)
class TextMeasure:
    """A metric of texts.

    Attributes:
        columns: what the metric needs, of predictions and the references of each.
    """

    metric: Metric
    columns: Callable[[Sequence[str], Sequence[Sequence[str]]], Columns]


def _exact(predictions: Sequence[str], references: Sequence[Sequence[str]]) -> Columns:
    return {"correct": np.array([text in right for text, right in zip(predictions, references, strict=True)], int)}


EXACT_MATCH = TextMeasure(ACCURACY, _exact)
"""The share of texts that are a reference themselves."""
