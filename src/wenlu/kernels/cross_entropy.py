"""Language-model head and cross-entropy in one step, without ever holding all logits."""

from __future__ import annotations

from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor
from torch.autograd.function import once_differentiable


def linear_cross_entropy(
    hidden: Tensor, weight: Tensor, targets: Tensor, *, ignore_index: int = -100, chunk: int = 512
) -> Tensor:
    """Sum over tokens of the cross-entropy, in nats, of `softmax(hidden @ weight.T)` against `targets`.

    Works through `chunk` tokens at a time and computes the gradients on the way, so the N × V logits never
    exist at once; the weight's gradient is summed in fp32. Can be differentiated once.

    Args:
        hidden: (N, D) final hidden states.
        weight: (V, D) of the head.
        targets: (N,) token ids; those equal to `ignore_index` carry no loss and cost nothing.

    Returns:
        A scalar in fp32 (fp64 for fp64 inputs); zero where no target counts.
    """
    kept = targets != ignore_index
    if not bool(kept.all()):
        hidden, targets = hidden[kept], targets[kept]
    if torch.is_grad_enabled() and (hidden.requires_grad or weight.requires_grad):
        total: Tensor = _LinearCrossEntropy.apply(hidden, weight, targets, chunk)  # type: ignore[no-untyped-call]
        return total
    return _plain_sum(hidden, weight, targets, chunk)


def reference(hidden: Tensor, weight: Tensor, targets: Tensor, *, ignore_index: int = -100) -> Tensor:
    """The same sum by torch's own operators, holding all logits; what the tests compare with."""
    logits = F.linear(hidden, weight)
    return F.cross_entropy(logits.to(_wide(logits)), targets, ignore_index=ignore_index, reduction="sum")


class _LinearCrossEntropy(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, hidden: Tensor, weight: Tensor, targets: Tensor, chunk: int) -> Tensor:
        wants_hidden, wants_weight = ctx.needs_input_grad[:2]
        total = torch.zeros((), dtype=_wide(hidden), device=hidden.device)
        hidden_grad = torch.empty_like(hidden) if wants_hidden else None
        weight_grad = torch.zeros_like(weight, dtype=_wide(weight)) if wants_weight else None
        for start in range(0, len(hidden), chunk):
            part = hidden[start : start + chunk]
            target = targets[start : start + chunk, None]
            logits = F.linear(part, weight)
            logp = torch.log_softmax(logits, dim=-1, dtype=_wide(hidden))  # (chunk, V)
            total -= logp.gather(1, target).sum()
            error = logp.exp_().scatter_add_(1, target, torch.full_like(target, -1, dtype=logp.dtype))
            error = logits.copy_(error)  # in the inputs' dtype, over the logits
            if hidden_grad is not None:
                torch.mm(error, weight, out=hidden_grad[start : start + chunk])
            if weight_grad is not None:
                weight_grad += error.T @ part
        ctx.save_for_backward(hidden_grad, None if weight_grad is None else weight_grad.to(weight.dtype))
        return total

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, grad: Tensor) -> tuple[Tensor | None, Tensor | None, None, None]:
        hidden_grad, weight_grad = ctx.saved_tensors
        return _scaled(hidden_grad, grad), _scaled(weight_grad, grad), None, None


def _plain_sum(hidden: Tensor, weight: Tensor, targets: Tensor, chunk: int) -> Tensor:
    total = torch.zeros((), dtype=_wide(hidden), device=hidden.device)
    for start in range(0, len(hidden), chunk):
        logits = F.linear(hidden[start : start + chunk], weight)
        total += F.cross_entropy(logits.to(total.dtype), targets[start : start + chunk], reduction="sum")
    return total


def _wide(x: Tensor) -> torch.dtype:
    return torch.float64 if x.dtype == torch.float64 else torch.float32


def _scaled(gradient: Tensor | None, factor: Tensor) -> Tensor | None:
    return None if gradient is None else gradient * factor.to(gradient.dtype)
