"""Language-model head and cross-entropy in one step, without ever holding all logits."""

from __future__ import annotations

from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor
from torch.autograd.function import once_differentiable

from wenlu.kernels.native import Kernels, kernels
from wenlu.kernels.products import add_outer_products, transposed

CHUNK = 2**26
"""Logits that exist at once: 128 MB in bf16. Fewer would mean more passes over the weight and its gradient."""


def linear_cross_entropy(
    hidden: Tensor,
    weight: Tensor,
    targets: Tensor,
    *,
    ignore_index: int = -100,
    label_smoothing: float = 0.0,
    chunk: int = CHUNK,
) -> Tensor:
    """Sum over tokens of the cross-entropy, in nats, of `softmax(hidden @ weight.T)` against `targets`.

    Works through so many tokens at a time that their logits are at most `chunk` numbers, and computes the gradients
    on the way, so the N × V logits never exist at once; the weight's gradient is summed in fp32. Can be
    differentiated once.

    Args:
        hidden: (N, D) final hidden states.
        weight: (V, D) of the head.
        targets: (N,) token ids; those equal to `ignore_index` carry no loss and cost nothing.
        label_smoothing: share of the target that all V tokens get alike, the right one included, as in torch.

    Returns:
        A scalar in fp32 (fp64 for fp64 inputs); zero where no target counts.
    """
    kept = targets != ignore_index
    if not bool(kept.all()):
        hidden, targets = hidden[kept], targets[kept]
    rows = max(1, chunk // len(weight))
    if torch.is_grad_enabled() and (hidden.requires_grad or weight.requires_grad):
        total: Tensor = _LinearCrossEntropy.apply(hidden, weight, targets, rows)  # type: ignore[no-untyped-call]
    else:
        total = _plain_sum(hidden, weight, targets, rows)
    return total + label_smoothing * _above_mean(hidden, weight, targets) if label_smoothing else total


def reference(hidden: Tensor, weight: Tensor, targets: Tensor, *, ignore_index: int = -100) -> Tensor:
    """The same sum by torch's own operators, holding all logits; what the tests compare with."""
    logits = F.linear(hidden, weight)
    return F.cross_entropy(logits.to(_wide(logits)), targets, ignore_index=ignore_index, reduction="sum")


class _LinearCrossEntropy(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, hidden: Tensor, weight: Tensor, targets: Tensor, rows: int) -> Tensor:
        wants_hidden, wants_weight = ctx.needs_input_grad[:2]
        total = torch.zeros((), dtype=_wide(hidden), device=hidden.device)
        hidden_grad = torch.empty_like(hidden) if wants_hidden else None
        weight_grad = torch.zeros_like(weight, dtype=_wide(weight)) if wants_weight else None
        native = kernels("avx512", hidden, weight)
        turned = transposed(weight) if native else weight.T  # each product reads it in order
        for start in range(0, len(hidden), rows):
            part = hidden[start : start + rows]
            target = targets[start : start + rows, None]
            errors, loss = _errors(part @ turned, target, native)
            total += loss
            if hidden_grad is not None:
                torch.mm(errors, weight, out=hidden_grad[start : start + rows])
            if weight_grad is not None:
                add_outer_products(weight_grad, errors, part)
        ctx.save_for_backward(hidden_grad, None if weight_grad is None else weight_grad.to(weight.dtype))
        return total

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, grad: Tensor) -> tuple[Tensor | None, Tensor | None, None, None]:
        hidden_grad, weight_grad = ctx.saved_tensors
        return _scaled(hidden_grad, grad), _scaled(weight_grad, grad), None, None


def _errors(logits: Tensor, targets: Tensor, native: Kernels | None) -> tuple[Tensor, Tensor]:
    """Gradients of the (N, V) `logits`, in their place, and the summed loss; `targets` (N, 1)."""
    if native is not None:
        losses = torch.empty(len(logits))
        native("softmax_errors", logits, targets.contiguous(), losses, *logits.shape)
        return logits, losses.sum()
    wide = _wide(logits)
    logp = torch.log_softmax(logits, dim=-1, dtype=wide)
    loss = -logp.gather(1, targets).sum()
    error = logp.exp_().scatter_add_(1, targets, torch.full_like(targets, -1, dtype=wide))
    return logits.copy_(error), loss


def _plain_sum(hidden: Tensor, weight: Tensor, targets: Tensor, rows: int) -> Tensor:
    total = torch.zeros((), dtype=_wide(hidden), device=hidden.device)
    for start in range(0, len(hidden), rows):
        logits = F.linear(hidden[start : start + rows], weight)
        total += F.cross_entropy(logits.to(total.dtype), targets[start : start + rows], reduction="sum")
    return total


def _above_mean(hidden: Tensor, weight: Tensor, targets: Tensor) -> Tensor:
    """How far the logits of the targets lie above the mean of all V, summed over tokens.

    Smoothing adds so many nats times its share: the mean of -log p over V is -log p of the target plus this. The mean
    logit is the product with the mean row, so no other logits are needed.
    """
    wide = _wide(weight)
    rows = F.embedding(targets, weight).to(wide) - weight.mean(dim=0, dtype=wide)
    return (hidden.to(wide) * rows).sum()


def _wide(x: Tensor) -> torch.dtype:
    return torch.float64 if x.dtype == torch.float64 else torch.float32


def _scaled(gradient: Tensor | None, factor: Tensor) -> Tensor | None:
    return None if gradient is None else gradient * factor.to(gradient.dtype)
