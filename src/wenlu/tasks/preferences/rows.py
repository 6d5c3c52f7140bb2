"""Pairs as rows: two answers behind the same prompt, of which the answers alone are asked about."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import torch
from torch import Tensor

from wenlu.corpus.examples import Examples
from wenlu.corpus.packing import Ids
from wenlu.corpus.ragged import Ragged, Values
from wenlu.errors import DataError
from wenlu.tasks.dialogues.rows import ChatRow, Writer
from wenlu.tasks.preferences.example import Preferred
from wenlu.tasks.task import IGNORED, Batch


class PairRows(Examples):
    """A row is a pair; `inputs` is the chosen answer behind the prompt.

    Attributes:
        rejected: the other answer behind the same prompt.
        starts: (R,) where both answers start.
        reference: (R, 2) summed log-probabilities that the reference gives both; None until it was asked.
    """

    def __init__(self, chosen: Ragged, rejected: Ragged, starts: Ids, **facts: Any) -> None:
        super().__init__(chosen, **facts)
        self.rejected = rejected
        self.starts = starts
        self.reference: Values | None = None
        self._widths = 2 * np.maximum(chosen.sizes, rejected.sizes)


@dataclass(frozen=True)
class PairBatch(Batch):
    """(2B, T) rows: B chosen answers, then B rejected ones.

    Attributes:
        reference: (B, 2); None where no reference was asked.
    """

    reference: Tensor | None = None


def pair_batch(source: PairRows, places: Ids) -> PairBatch:
    """Padded on the right. Targets are the tokens of the answers, with the one that ends them."""
    rows = [
        *(source.inputs[place] for place in places.tolist()),
        *(source.rejected[place] for place in places.tolist()),
    ]
    starts = np.concatenate([source.starts[places]] * 2)
    longest = max(len(row) for row in rows)
    ids = np.full((len(rows), longest), source.pad_id, np.int64)
    targets = np.full((len(rows), longest), IGNORED, np.int64)
    mask = np.zeros((len(rows), longest), np.int64)
    for number, (row, start) in enumerate(zip(rows, starts.tolist(), strict=True)):
        ids[number, : len(row)] = row
        mask[number, : len(row)] = 1
        targets[number, start - 1 : len(row) - 1] = row[start:]
    return PairBatch(
        input_ids=torch.from_numpy(ids),
        targets=torch.from_numpy(targets),
        attention_mask=torch.from_numpy(mask),
        num_tokens=int(mask.sum()),
        reference=None if source.reference is None else torch.from_numpy(source.reference[places]),
    )


def pair_rows(writer: Writer, examples: Sequence[Preferred], context: int, *, room: int, pad_id: int) -> PairRows:
    """The pairs that the template takes and that have room, with the same of the prompt before both answers.

    Raises DataError where there are none.
    """
    rows: list[tuple[ChatRow, ChatRow]] = []
    owners: list[int] = []
    refused: list[str] = []
    for number, example in enumerate(examples):
        try:
            both = _both(writer, example, room)
        except DataError as error:
            refused.append(f"{example.id}: {error}")
            continue
        if both is None:
            refused.append(f"{example.id}: an answer has no room behind its prompt in {room} tokens")
            continue
        rows.append(both)
        owners.append(number)
    if not rows:
        raise DataError(f"no pair to learn from; {refused[0] if refused else 'there are no examples'}")
    return PairRows(
        Ragged.of([chosen.ids for chosen, _ in rows]),
        Ragged.of([rejected.ids for _, rejected in rows]),
        np.array([chosen.spans[-1].start for chosen, _ in rows]),
        length=context,
        pad_id=pad_id,
        owners=np.array(owners),
        notes=_notes(examples, rows, refused),
    )


def _both(writer: Writer, example: Preferred, room: int) -> tuple[ChatRow, ChatRow] | None:
    """Both rows; where the longer answer leaves less room for the prompt, the other has no more of it."""
    turns = list(example.prompt)
    found = [_row(writer, [*turns, *example.turns(answer)[-1:]], room) for answer in example.answers]
    most = max((row.dropped for row in found if row is not None), default=0)
    if most and any(row is not None and row.dropped != most for row in found):
        head = turns[:1] if turns[0].role == "system" else []
        turns = [*head, *turns[len(head) + most :]]
        cut = [_row(writer, [*turns, *example.turns(answer)[-1:]], room) for answer in example.answers]
        found = [None if row is None else replace(row, dropped=row.dropped + most) for row in cut]
    chosen, rejected = found
    if chosen is None or rejected is None:
        return None
    start = chosen.spans[-1].start
    if rejected.spans[-1].start != start or chosen.ids[:start] != rejected.ids[:start]:
        raise DataError("the chat template writes the prompt otherwise before the two answers")
    return chosen, rejected


def _row(writer: Writer, turns: Sequence[Any], room: int) -> ChatRow | None:
    return next(writer.rows(turns, room, [len(turns) - 1]), None)


def _notes(
    examples: Sequence[Preferred], rows: Sequence[tuple[ChatRow, ChatRow]], refused: Sequence[str]
) -> tuple[str, ...]:
    count = f"of {len(examples):,} pairs"
    long = sum(chosen.dropped > 0 for chosen, _ in rows)
    cut = sum(chosen.is_cut or rejected.is_cut for chosen, rejected in rows)
    same = sum(example.chosen == example.rejected for example in examples)
    said = (
        (long, f"the prompts of {long:,} {count} are too long for train.context and lose their first turns; raise it"),
        (cut, f"{cut:,} {count} have an answer that is too long for train.context and loses its end; raise it"),
        (same, f"{same:,} {count} have the same answer twice and teach nothing"),
        (len(refused), f"{len(refused):,} {count} are left out; the first: {refused[0] if refused else ''}"),
    )
    return tuple(note for number, note in said if number)
