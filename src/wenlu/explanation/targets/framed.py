"""What all targets share: names that are asked for, and rows of a text with what is around it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from wenlu.config import did_you_mean
from wenlu.errors import UsageError
from wenlu.explanation.neural import Aim, Row
from wenlu.explanation.subject import Floats, Part, Piece, Told
from wenlu.models import LanguageModel
from wenlu.tasks.labelled import ReadingTask
from wenlu.tasks.labelled.headed import Headed
from wenlu.tasks.labelled.layout import Layout, parts
from wenlu.tasks.labelled.layout import Part as Long
from wenlu.tokenizers import Span


@dataclass(frozen=True)
class Question:
    """What is asked of an explanation.

    Attributes:
        target: label, tag, trait or token; None: the one that was answered. against: another, in contrast to it.
        at: characters of what is explained, of tasks that say something of many places.
    """

    target: str | None = None
    against: str | None = None
    at: str | None = None


@dataclass(frozen=True)
class Framed:
    """What a neural model read and said."""

    told: Told
    aim: Aim
    rows: tuple[Row, ...]
    parts: tuple[Part, ...]
    pieces: tuple[Piece, ...]


def number_of(name: str, names: Sequence[str], what: str) -> int:
    """Raises UsageError for a name that is none."""
    if name not in names:
        raise UsageError(f"{what}={name!r}: the model knows no such; {did_you_mean(name, list(names))}")
    return list(names).index(name)


def direction(size: int, target: int, against: int | None, like: Tensor) -> Tensor:
    """(K,) 1 at the target, -1 at what it is held against."""
    if target == against:
        raise UsageError("target and against are the same, so there is no difference to explain; give another against")
    found = torch.zeros(size, dtype=torch.promote_types(like.dtype, torch.float32), device=like.device)
    found[target] = 1.0
    if against is not None:
        found[against] = -1.0
    return found


def pieces_of(part: int, spans: Sequence[Span], kept: Sequence[int]) -> list[Piece]:
    """The tokens of a text that were read, by their characters."""
    return [Piece(part, *spans[place]) for place in kept]


def rows_of_text(
    task: ReadingTask, headed: Headed, layout: Layout, ids: Sequence[int], context: int, long: Long
) -> tuple[tuple[Row, ...], list[int]]:
    """The rows that a text is read in, one or windows of it, and which of its tokens are read: its pieces."""
    reads = parts(range(len(ids)), layout.room(context, pair=False), long)
    seen = sorted({place for read in reads for place in read})
    number = {place: piece for piece, place in enumerate(seen)}
    rows = []
    for read in reads:
        framed, _ = layout.row([ids[place] for place in read])
        owners = [-1] * len(framed)
        owners[len(layout.before) : len(layout.before) + len(read)] = [number[place] for place in read]
        rows.append(row(headed, framed, None, owners, read_by_pooling(task, headed, len(framed))))
    return tuple(rows), seen


def row(
    model: LanguageModel,
    ids: Sequence[int],
    types: Sequence[int] | None,
    owners: Sequence[int],
    read_at: Floats,
) -> Row:
    device = next(model.parameters()).device
    return Row(
        torch.tensor(list(ids), device=device),
        None if types is None else torch.tensor(list(types), device=device),
        torch.tensor(list(owners), device=device),
        torch.tensor(read_at, dtype=torch.float32, device=device),
    )


def read_by_pooling(task: ReadingTask, headed: Headed, length: int) -> Floats:
    """(T,) how much of each position the vector of a text is made of; a family's own class reads the first."""
    shares = np.zeros(length)
    match task.reads(headed.body):
        case "mean":
            shares[:] = 1 / length
        case "last":
            shares[-1] = 1
        case _:
            shares[0] = 1
    return shares
