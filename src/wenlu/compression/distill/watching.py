"""What passes through a model in a forward pass: its last layer's states, its last attention, its head's answers."""

from __future__ import annotations

import math
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from wenlu.models import LanguageModel
from wenlu.models.layers.bidirectional_attention import BidirectionalAttention
from wenlu.tasks.labelled.headed import Headed


@dataclass
class Seen:
    """Attributes:
    states: (B, T, D) behind the last layer.
    attention: the last one, what it read, (B, T, D), and how it turned its queries and keys.
    answers: what a task's head said.
    """

    states: Tensor | None = None
    attention: tuple[BidirectionalAttention, Tensor, Any] | None = None
    answers: Tensor | None = None
    handles: list[Any] = field(default_factory=list)


def last_layer(model: LanguageModel) -> nn.Module | None:
    layers = [each for each in model.modules() if isinstance(each, nn.ModuleList) and len(each)]
    return layers[0][-1] if layers else None


def last_attention(model: LanguageModel) -> BidirectionalAttention | None:
    found = [each for each in model.modules() if isinstance(each, BidirectionalAttention)]
    return found[-1] if found else None


@contextmanager
def watched(model: LanguageModel) -> Iterator[Seen]:
    """Within, the first forward pass is noted."""
    seen = Seen()

    def states(_: nn.Module, __: Any, output: Any) -> None:
        if seen.states is None and isinstance(output, Tensor):
            seen.states = output

    def read(module: nn.Module, args: Any, kwargs: Any) -> None:
        if seen.attention is None and isinstance(module, BidirectionalAttention):
            rope = kwargs.get("rope", args[2] if len(args) > 2 else None)
            seen.attention = module, args[0], rope

    def said(_: nn.Module, __: Any, output: Any) -> None:
        if seen.answers is None and isinstance(output, Tensor):
            seen.answers = output

    layer, attention = last_layer(model), last_attention(model)
    if layer is not None:
        seen.handles.append(layer.register_forward_hook(states))
    if attention is not None:
        seen.handles.append(attention.register_forward_pre_hook(read, with_kwargs=True))
    if isinstance(model, Headed):
        seen.handles.append(model.task_head.register_forward_hook(said))
    try:
        yield seen
    finally:
        for handle in seen.handles:
            handle.remove()


def relations(seen: Seen, mask: Tensor) -> tuple[Tensor, Tensor]:
    """(B, N, T, T) log-probabilities with which each position attends, and with which values relate to each other:
    softmax(QKᵀ/√H) and softmax(VVᵀ/√H), over the real positions (B, T) of a row."""
    assert seen.attention is not None, "asked of models whose attention was seen"
    module, x, rope = seen.attention
    B, T, _ = x.shape
    q, k, v = (each(x).view(B, T, -1, module.head_dim) for each in (module.q_proj, module.k_proj, module.v_proj))
    if rope is not None:
        q, k = rope.rotate(q), rope.rotate(k)
    q, k, v = (each.transpose(1, 2).to(torch.promote_types(each.dtype, torch.float32)) for each in (q, k, v))
    hidden = ~mask.bool()[:, None, None, :]

    def among(a: Tensor, b: Tensor) -> Tensor:
        scores = a @ b.transpose(-1, -2) / math.sqrt(module.head_dim)
        return F.log_softmax(scores.masked_fill(hidden, torch.finfo(scores.dtype).min), dim=-1)

    return among(q, k), among(v, v)


def relation_divergences(teacher: Seen, student: Seen, mask: Tensor) -> Tensor:
    """(B, T) Σ p log(p/q) of both relations, the mean over heads, of the positions that see."""
    found = torch.zeros(mask.shape, device=mask.device)
    for p, q in zip(relations(teacher, mask), relations(student, mask), strict=True):
        found = found + (p.exp() * (p - q)).sum(dim=-1).mean(dim=1)
    return found
