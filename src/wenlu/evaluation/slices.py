"""Where two systems differ: the same comparison on the examples of one source, script, length or label at a time."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from wenlu.evaluation.facts import LABEL, NUMBER
from wenlu.evaluation.paired_tests import holm, randomisation
from wenlu.metrics import Columns, Metric

BY = ("source", "script", LABEL)
FEWEST, MOST = 10, 12
"""Examples of a slice, and values of a fact: a slice of few examples tells nothing, and many slices tell by chance."""


@dataclass(frozen=True)
class Slice:
    """One part of the examples, and what each of two systems reaches there.

    Attributes:
        p_value: of approximate randomisation, corrected for the number of slices (Holm).
    """

    by: str
    of: str
    n: int
    a: float
    b: float
    p_value: float


def slices(
    metric: Metric, a: Columns, b: Columns, clusters: Sequence[str], facts: Sequence[Mapping[str, Any]], seed: int = 0
) -> tuple[Slice, ...]:
    """Compare both systems on each part of the examples that has at least FEWEST of them.

    Args:
        facts: of each example; those that all share, or that have more than MOST values, cut nothing.
    """
    found = []
    for by, of, places in _parts(facts):
        first, second = ({name: columns[name][places] for name in metric.needs} for columns in (a, b))
        near = [clusters[place] for place in places]
        chance = randomisation(metric, first, second, near, seed=seed)
        found.append(Slice(by, of, len(places), metric.compute(first), metric.compute(second), chance))
    corrected = holm([each.p_value for each in found])
    return tuple(replace(each, p_value=p_value) for each, p_value in zip(found, corrected, strict=True))


def _parts(facts: Sequence[Mapping[str, Any]]) -> list[tuple[str, str, np.ndarray[Any, np.dtype[np.int64]]]]:
    parts = []
    for by in BY:
        values = [str(told.get(by, "")) for told in facts]
        counts = Counter(values)
        if 2 <= len(counts) <= MOST:
            parts += [(by, value, np.flatnonzero(np.array(values) == value)) for value in sorted(counts)]
    lengths = np.array([told.get(NUMBER, 0) for told in facts])
    low, high = (int(edge) for edge in np.quantile(lengths, (1 / 3, 2 / 3))) if len(lengths) else (0, 0)
    if low < high:
        ranges = ((f"up to {low:,}", lengths <= low), (f"up to {high:,}", (lengths > low) & (lengths <= high)))
        parts += [(NUMBER, name, np.flatnonzero(inside)) for name, inside in ranges]
        parts.append((NUMBER, f"over {high:,}", np.flatnonzero(lengths > high)))
    return [part for part in parts if len(part[2]) >= FEWEST]
