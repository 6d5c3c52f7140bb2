"""Whether a position sees what it is asked for: what comes later must change nothing before it."""

from __future__ import annotations

from dataclasses import replace

import torch
from torch import Tensor

from wenlu.models.layers.seeing import SeeingDecoder
from wenlu.tasks import IGNORED, Batch, CausalLM, GenerativeTask
from wenlu.training.checks.finding import Finding
from wenlu.training.checks.subject import Subject, layout

TOLERANCE = 1e-4
"""Of the largest hidden state."""


@torch.no_grad()
def no_future(subject: Subject, batch: Batch) -> list[Finding]:
    """Other tokens in the second half of each row, and what that does to the states of the first."""
    moved = subject.jittered()
    task, where = moved.task, layout(moved.task, batch)
    if not isinstance(task, CausalLM | GenerativeTask):
        return []
    if where == "written":
        place = batch.targets.size(1) // 2
        asked = batch.targets[:, place:] != IGNORED
        targets = batch.targets.clone()
        targets[:, place:] = torch.where(asked, _others(targets[:, place:], moved), targets[:, place:])
        other, before = replace(batch, targets=targets), place + 1  # the first of them is not read where it is written
    else:
        place = before = max(1, batch.input_ids.size(1) // 2)
        ids = batch.input_ids.clone()
        ids[:, place:] = _words(ids[:, place:], moved)
        other = replace(batch, input_ids=ids)
    states, changed = _states(moved, batch), _states(moved, other)
    scale = max(1e-6, states.abs().max().item())
    difference = (states[:, :before] - changed[:, :before]).abs().max().item() / scale
    said = f"other tokens from place {place} on change the states before by {difference:.1e} of the largest"
    if not difference <= TOLERANCE:
        fix = (
            "Mask attention causally: a model that sees the token it is asked for learns to copy, and writes nonsense."
        )
        return [Finding("no-future", "failure", said, fix, {"difference": difference})]
    return [Finding("no-future", "pass", said, numbers={"difference": difference})]


def _others(ids: Tensor, moved: Subject) -> Tensor:
    """A different token at each place."""
    size = moved.model.config.vocab_size
    random = torch.Generator().manual_seed(0)
    steps = torch.randint(1, size, ids.shape, generator=random).to(ids.device)
    return (ids.clamp(min=0) + steps) % size


def _words(ids: Tensor, moved: Subject) -> Tensor:
    """As `_others`; what stands for a picture stays, and nothing else comes to."""
    found = _others(ids, moved)
    if not isinstance(moved.model, SeeingDecoder):
        return found
    mark = moved.model.image_token_id
    found = torch.where(found == mark, (found + 1) % moved.model.config.vocab_size, found)
    return torch.where(ids == mark, ids, found)


def _states(moved: Subject, batch: Batch) -> Tensor:
    """Hidden states as the task's loss has them."""
    if isinstance(moved.task, GenerativeTask):
        return moved.task.states(moved.model, batch)
    return moved.model.hidden(batch.input_ids, attention_mask=batch.attention_mask, segments=batch.segments)
