"""Whether the loss is a sum over targets that does not know how they were batched, padded or packed."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import numpy as np
import torch
import torch.nn.functional as F

from wenlu.corpus.packing import PackedRow
from wenlu.tasks import IGNORED, Batch, CausalLM, Draw, LabelledTask, Loss, Task
from wenlu.tasks.multi_task import MixedBatch
from wenlu.training.checks.finding import Finding
from wenlu.training.checks.subject import Subject, layout
from wenlu.training.validation import device_of

TOLERANCE = 1e-5
"""Of the loss, relative to it; in float32, and where rounding alone may be to blame once more in float64."""
EXTRA = 3
"""Places of padding that are added."""


def same_loss(subject: Subject) -> list[Finding]:
    """The loss of eight rows at once beside that of one at a time, with more padding, and in packed rows."""
    if isinstance(subject.task, LabelledTask) and not subject.task.is_separable:
        return []
    found = _compared(subject.jittered())
    if any(finding.verdict == "failure" for finding in found):
        wide = subject.jittered()
        found = _compared(replace(wide, model=wide.model.double()))
    return found


@torch.no_grad()
def _compared(moved: Subject) -> list[Finding]:
    whole = moved.loss(moved.batch())
    single = [moved.loss(moved.batch(moved.places[place : place + 1])) for place in range(len(moved.places))]
    found = [_apart(whole, single)]
    wider = padded(moved.task, moved.batch(), _padding_id(moved.task))
    if wider is not None:
        found.append(_with_padding(whole, moved.loss(wider)))
    if isinstance(moved.task, CausalLM) and moved.separate_documents:
        found.append(_packed(moved))
    return found


def _difference(one: float, other: float) -> float:
    return abs(one - other) / max(abs(one), abs(other), 1e-6)


def _apart(whole: Loss, single: Sequence[Loss]) -> Finding:
    total, count = sum(loss.sum.item() for loss in single), sum(loss.count for loss in single)
    difference = _difference(whole.sum.item(), total)
    numbers = {"together": whole.sum.item(), "apart": total, "difference": difference}
    said = f"8 × 1 and 1 × 8 rows: {whole.sum.item():.4f} and {total:.4f} nats over {whole.count} and {count} targets"
    if whole.count != count or not difference <= TOLERANCE:
        fix = "Sum the loss over the targets and count them, as 'Loss' asks: means of means weigh short rows too much."
        return Finding("same-loss", "failure", said, fix, numbers)
    return Finding("same-loss", "pass", said, numbers=numbers)


def _with_padding(whole: Loss, wider: Loss) -> Finding:
    difference = _difference(whole.sum.item(), wider.sum.item())
    numbers = {"padded": wider.sum.item(), "difference": difference}
    said = f"with {EXTRA} more places of padding: {whole.sum.item():.4f} and {wider.sum.item():.4f} nats"
    if whole.count != wider.count or not difference <= TOLERANCE:
        fix = "Give padding no weight: neither as a target, nor to attention, nor to what is pooled or counted."
        return Finding("padding-is-free", "failure", said, fix, numbers)
    return Finding("padding-is-free", "pass", said, numbers=numbers)


def _packed(moved: Subject) -> Finding:
    """Documents in one row, beside each in a row of its own."""
    rows = moved.source.rows(moved.places)
    ids = rows.ids[:, : max(4, rows.ids.shape[1])]
    half = ids.shape[1] // 2
    first, second = ids[:, :half], ids[:, half:]
    segments = np.zeros_like(ids)
    segments[:, half:] = 1
    together = moved.loss(_batch(moved, PackedRow(ids, segments)))
    alone = [moved.loss(_batch(moved, PackedRow(part, np.zeros_like(part)))) for part in (first, second)]
    total, count = sum(loss.sum.item() for loss in alone), sum(loss.count for loss in alone)
    difference = _difference(together.sum.item(), total)
    numbers = {"packed": together.sum.item(), "apart": total, "difference": difference}
    said = f"two documents in a row and in rows of their own: {together.sum.item():.4f} and {total:.4f} nats"
    if together.count != count or not difference <= TOLERANCE:
        fix = "Keep attention inside a document and ignore the target behind its end: what is packed must not mix."
        return Finding("packing-is-free", "failure", said, fix, numbers)
    return Finding("packing-is-free", "pass", said, numbers=numbers)


def _batch(moved: Subject, rows: PackedRow) -> Batch:
    return moved.task.batch(Draw.of(rows, separate_documents=True)).to(device_of(moved.model))


def _padding_id(task: Task) -> int:
    tokenizer: Any = getattr(task, "tokenizer", None)
    return 0 if tokenizer is None else next((i for i in (tokenizer.pad_id, tokenizer.eos_id) if i is not None), 0)


def padded(task: Task, batch: Batch, pad_id: int) -> Batch | None:
    """The batch with a few more places behind each row that mean nothing; None where its mask is for exact places."""
    if isinstance(batch, MixedBatch):
        members = task.members  # type: ignore[attr-defined]  # only several tasks mix batches
        parts = {name: padded(members[name], part, pad_id) for name, part in batch.parts.items()}
        known = {name: part for name, part in parts.items() if part is not None}
        return replace(batch, parts=known) if len(known) == len(parts) else None
    if batch.attention_mask is not None and batch.attention_mask.ndim == 3:
        return None
    where = layout(task, batch)
    mask = batch.attention_mask
    if mask is None and where != "next":
        mask = torch.ones_like(batch.input_ids)
    aligned = batch.targets.shape == batch.input_ids.shape or where in ("next", "written")
    more = (0, EXTRA)

    def wider(value: torch.Tensor | None, fill: float) -> torch.Tensor | None:
        return None if value is None else F.pad(value, more, value=fill)

    segments = batch.segments
    if segments is not None:
        segments = torch.cat([segments, segments[:, -1:].expand(-1, EXTRA)], dim=1)
    ids = F.pad(batch.input_ids, more, value=pad_id)
    return replace(
        batch,
        input_ids=ids,
        targets=F.pad(batch.targets, more, value=IGNORED) if aligned else batch.targets,
        attention_mask=wider(mask, 0),
        segments=segments,
        token_types=wider(batch.token_types, 0),
        decoder_input_ids=wider(batch.decoder_input_ids, pad_id),
        chances=wider(batch.chances, 1.0),
        num_tokens=batch.num_tokens,
    )
