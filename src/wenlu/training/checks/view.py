"""Batches as the model reads them, decoded, with what is trained on marked."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import groupby
from typing import Any, Literal

from wenlu.errors import DataError
from wenlu.tasks import IGNORED, Batch, QuestionAnswering, Task
from wenlu.tasks.objective import tokens_in
from wenlu.tokenizers import Tokenizer
from wenlu.training.checks.subject import layout, parts_of

Kind = Literal["context", "trained", "padding"]


@dataclass(frozen=True)
class Piece:
    """Tokens of one kind that stand together.

    Attributes:
        target: what the model is to say there, where that is another text than the one that it reads.
    """

    text: str
    kind: Kind
    target: str = ""


@dataclass(frozen=True)
class SeenRow:
    """A row.

    Attributes:
        answer: what a head is to say of it.
    """

    pieces: tuple[Piece, ...]
    answer: str = ""


@dataclass(frozen=True)
class Shares:
    """How many places a few batches have, and of what.

    Attributes:
        places: all of them. read: those with a token. trained: targets; of a head at least one a row.
        rows: all of them. silent: those that ask for nothing.
    """

    places: int
    read: int
    trained: int
    rows: int
    silent: int


def shares(task: Task, batches: Sequence[Batch]) -> Shares:
    places = read = trained = rows = silent = 0
    for batch in batches:
        for own, part in parts_of(task, batch):
            where = layout(own, part)
            rows += len(part.input_ids)
            read += tokens_in(part)
            places += part.input_ids.numel()
            if where == "written":
                places += part.targets.numel()
                read += int((part.targets != IGNORED).sum()) if part.decoder_input_ids is None else 0
            has_targets = part.targets.numel() > 0 and len(part.targets) == len(part.input_ids)
            if where == "head" and not (has_targets and _is_tagging(own)):
                trained += 0 if part.labels is None else len(part.labels)
                silent += len(part.input_ids) if part.labels is None else 0
            else:
                asked = part.targets != IGNORED
                trained += int(asked.sum())
                labelled = part.labels is not None and not _is_tagging(own)
                silent += 0 if labelled else int((~asked.any(dim=1)).sum())
                trained += len(part.labels) if labelled and part.labels is not None else 0
    return Shares(places, read, trained, rows, silent)


def _is_tagging(task: Task) -> bool:
    config = task.config
    return bool(getattr(config, "is_of_tokens", False)) and not isinstance(task, QuestionAnswering)


def seen_rows(task: Task, tokenizer: Tokenizer, batch: Batch, most: int = 8) -> list[SeenRow]:
    """The first rows of a batch."""
    found: list[SeenRow] = []
    for own, part in parts_of(task, batch):
        found += [_row(own, tokenizer, part, row) for row in range(min(most, len(part.input_ids)))]
    return found[:most]


def _row(task: Task, tokenizer: Tokenizer, batch: Batch, row: int) -> SeenRow:
    ids = batch.input_ids[row].tolist()
    targets = batch.targets[row].tolist() if len(batch.targets) == len(batch.input_ids) else []
    real = _real(batch, row, tokenizer)
    match layout(task, batch):
        case "next":
            kinds: list[Kind] = ["context", *("trained" if target != IGNORED else "context" for target in targets)]
            asked = [place + 1 for place, target in enumerate(targets) if target != IGNORED]
            whole = [*ids, IGNORED]
            for place in asked:
                whole[place] = targets[place - 1]
            stop = max(real, *asked) + 1 if asked and max(asked) >= real else real
            kinds = [kind if place < stop else "padding" for place, kind in enumerate(kinds)]
            length = len(ids) + (whole[-1] != IGNORED)
            return SeenRow(tuple(_runs(tokenizer, whole[:length], kinds[:length])))
        case "written":
            kinds = ["context" if place < real else "padding" for place in range(len(ids))]
            written = [target for target in targets if target != IGNORED]
            return SeenRow((*_runs(tokenizer, ids, kinds), Piece(_text(tokenizer, written), "trained")))
        case "in place":
            return SeenRow(tuple(_in_place(tokenizer, ids, targets, real)), _answer(task, batch, row))
        case "head":
            if _is_tagging(task) and targets:
                return SeenRow(tuple(_tagged(task, tokenizer, ids, targets, real)))
            kinds = ["context" if place < real else "padding" for place in range(len(ids))]
            if isinstance(task, QuestionAnswering) and batch.labels is not None:
                start, end = batch.labels[row].tolist()
                kinds = ["trained" if start <= place <= end else kind for place, kind in enumerate(kinds)]
            return SeenRow(tuple(_runs(tokenizer, ids, kinds)), _answer(task, batch, row))


def _real(batch: Batch, row: int, tokenizer: Tokenizer) -> int:
    """How many places of the row hold a token, as far as mask or padding tell."""
    mask, ids = batch.attention_mask, batch.input_ids[row].tolist()
    if mask is not None and mask.ndim == 2:
        return int(mask[row].sum())
    while len(ids) > 1 and tokenizer.pad_id is not None and ids[-1] == ids[-2] == tokenizer.pad_id:
        ids.pop()
    return len(ids)


def _runs(tokenizer: Tokenizer, ids: Sequence[int], kinds: Sequence[Kind]) -> Iterator[Piece]:
    for kind, run in groupby(zip(ids, kinds, strict=True), key=lambda pair: pair[1]):
        tokens = [token for token, _ in run]
        yield Piece(f"{len(tokens)} × padding" if kind == "padding" else _text(tokenizer, tokens), kind)


def _in_place(tokenizer: Tokenizer, ids: Sequence[int], targets: Sequence[int], real: int) -> Iterator[Piece]:
    kinds: list[Kind] = []
    for place, target in enumerate(targets):
        kinds.append("padding" if place >= real else "context" if target == IGNORED else "trained")
    for kind, run in groupby(zip(ids, targets, kinds, strict=True), key=lambda each: each[2]):
        each = list(run)
        if kind == "padding":
            yield Piece(f"{len(each)} × padding", kind)
        else:
            asked = _text(tokenizer, [target for _, target, _ in each]) if kind == "trained" else ""
            yield Piece(_text(tokenizer, [token for token, _, _ in each]), kind, asked)


def _tagged(task: Task, tokenizer: Tokenizer, ids: Sequence[int], targets: Sequence[int], real: int) -> Iterator[Piece]:
    names: Sequence[str] = getattr(task, "names", ())
    for token, target in zip(ids[:real], targets, strict=False):
        text = _text(tokenizer, [token])
        yield Piece(text, "context") if target == IGNORED else Piece(text, "trained", _name(names, target))
    if len(ids) > real:
        yield Piece(f"{len(ids) - real} × padding", "padding")


def _answer(task: Task, batch: Batch, row: int) -> str:
    if batch.labels is None:
        return ""
    label: Any = batch.labels[row].tolist()
    names: Sequence[str] = getattr(task, "names", ())
    if isinstance(label, int) and names:
        return _name(names, label)
    if isinstance(label, list) and names and len(names) == len(label):
        return ", ".join(name for name, holds in zip(names, label, strict=True) if holds) or "none"
    return str(label)


def _name(names: Sequence[str], number: int) -> str:
    return names[number] if 0 <= number < len(names) else str(number)


def _text(tokenizer: Tokenizer, ids: Sequence[int]) -> str:
    try:
        return tokenizer.decode(ids, skip_special=False)
    except DataError:
        return f"{len(ids)} tokens that are not in the vocabulary: {list(ids)[:8]}"
