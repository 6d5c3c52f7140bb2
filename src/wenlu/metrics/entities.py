"""Strict entity scores: an entity is right where its start, its end and its type all are."""

from __future__ import annotations

from collections.abc import Sequence
from collections.abc import Set as AbstractSet

import numpy as np

from wenlu.metrics.class_counts import Averaged, Counts, Score
from wenlu.metrics.class_table import ClassRow, rows
from wenlu.metrics.f1 import f1
from wenlu.metrics.metric import Columns, Metric, OfSums
from wenlu.metrics.precision import precision
from wenlu.metrics.recall import recall

Span = tuple[int, int, str]
"""Start, end and type; whether the end is in or out is for both sides to agree on."""
Spans = Sequence[AbstractSet[Span]]
"""Those of each example."""

_COLUMNS = ("entities_right", "entities_predicted", "entities_gold")


def entity_columns(gold: Spans, predicted: Spans, kind: str | None = None) -> Columns:
    """The columns of the entity metrics; of one type, where `kind` is given."""
    assert len(gold) == len(predicted), f"{len(gold)} examples and {len(predicted)} answers"
    counts = np.zeros((len(gold), 3), dtype=np.int64)
    for row, wanted, found in zip(counts, gold, predicted, strict=True):
        if kind is not None:
            wanted, found = ({span for span in spans if span[2] == kind} for spans in (wanted, found))
        row[:] = len(wanted & found), len(found), len(wanted)
    return dict(zip(_COLUMNS, counts.T, strict=True))


def per_type(gold: Spans, predicted: Spans) -> list[ClassRow]:
    """A row for each type that is gold or predicted, by name."""
    kinds = sorted({span[2] for spans in (*gold, *predicted) for span in spans})
    sums = [[column.sum() for column in entity_columns(gold, predicted, kind).values()] for kind in kinds]
    return rows(kinds, Counts(*np.array(sums, dtype=np.int64).reshape(-1, 3).T))


def _entity_metric(name: str, score: Score) -> Metric:
    return Metric(
        name=f"entity_{name}",
        unit="fraction",
        better="higher",
        needs=_COLUMNS,
        compute=OfSums(_COLUMNS, Averaged(score, "micro")),
        signature=f"entity_{name}|average:micro|match:strict|zero_division:0|v1",
        source=f"Tjong Kim Sang & De Meulder 2003, CoNLL-2003, arXiv:cs/0306050; seqeval.metrics.{name}_score, strict",
    )


ENTITY_F1 = _entity_metric("f1", f1)
ENTITY_PRECISION = _entity_metric("precision", precision)
ENTITY_RECALL = _entity_metric("recall", recall)
