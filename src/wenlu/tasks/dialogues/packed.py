"""Several conversations in a row, none of which sees another: short ones cost no padding."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from wenlu.corpus.packing import PADDING, Ids, PackedRow, pack_documents
from wenlu.corpus.ragged import Ragged, Values
from wenlu.tasks.labelled.generative import WrittenRows
from wenlu.tasks.task import IGNORED


class PackedRows(WrittenRows):
    """Attributes:
    segments: which conversation of its row each token is of, from 0.
    utilisation: tokens among all places, were each row as long as the context.
    """

    def __init__(self, inputs: Ragged, *, segments: Ragged, utilisation: float, **facts: Any) -> None:
        super().__init__(inputs, **facts)
        self.segments = segments
        self.utilisation = utilisation

    def read(self, indices: Ids) -> PackedRow:
        row = super().read(indices)
        return PackedRow(row.ids, self.segments.padded(indices, PADDING))


def packed(source: WrittenRows) -> PackedRows:
    """The rows of `source` laid into as few as best-fit decreasing finds, each with its last token, which it learns."""
    assert source.targets is not None, "rows that are learnt have targets"
    assert source.sizes is not None, "who has targets knows their sizes"
    whole = [np.append(source.inputs[row], source.targets[row][-1]) for row in range(len(source))]
    targets = [np.append(source.targets[row], IGNORED) for row in range(len(source))]
    assert all(len(row) <= source.length for row in whole), "a row is no longer than the context"
    found = pack_documents([len(row) for row in whole], source.length)
    rows = [[piece.document for piece in row] for row in found.rows]
    numbers = [[np.full(len(whole[each]), place) for place, each in enumerate(row)] for row in rows]
    return PackedRows(
        Ragged.of(_joined(rows, whole.__getitem__)),
        length=source.length,
        pad_id=source.pad_id,
        owners=np.array([source.owners[row[0]] for row in rows]),
        targets=Ragged.of(_joined(rows, targets.__getitem__)),
        sizes=np.array([int(source.sizes[row].sum()) for row in rows]),
        notes=source.notes,
        segments=Ragged.of([np.concatenate(row) for row in numbers]),
        utilisation=found.utilisation,
    )


def _joined(rows: Sequence[Sequence[int]], part: Callable[[int], Values]) -> list[Values]:
    return [np.concatenate([part(each) for each in row]) for row in rows]


def told_apart(segments: Ids) -> Ids | None:
    """The segments of a batch with padding as a document behind all others; None where no row has several."""
    if int(segments.max(initial=0)) <= 0:
        return None
    return np.where(segments == PADDING, segments.max() + 1, segments)
