"""The loss of tokens that are to be written, without ever holding the logits of all of them."""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor, nn
from torch.utils.checkpoint import checkpoint

from wenlu.kernels.cross_entropy import CHUNK, linear_cross_entropy
from wenlu.models import LanguageModel
from wenlu.tasks.causal_lm import is_one_product


def summed_nats(
    model: LanguageModel, hidden: Tensor, targets: Tensor, *, label_smoothing: float = 0.0, chunk: int = CHUNK
) -> Tensor:
    """Sum over tokens of the cross-entropy, in nats, of the model's head over `hidden` against `targets`.

    A head that is more than one product works through so many tokens at a time that their logits are at most `chunk`
    numbers; for the gradients they are computed again.

    Args:
        hidden: (N, D) final hidden states.
        targets: (N,) token ids.
        label_smoothing: share of the target that all tokens of the head get alike, the right one included (Szegedy et
            al. 2016, arXiv:1512.00567), as torch counts it; others share it among the wrong ones alone.
    """
    if is_one_product(model.lm_head):
        weight = model.get_parameter("lm_head.weight")
        return linear_cross_entropy(hidden, weight, targets, label_smoothing=label_smoothing, chunk=chunk)
    rows = max(1, chunk // model.config.vocab_size)
    if len(hidden) <= rows:
        return _nats(model.lm_head, hidden, targets, label_smoothing)
    parts: list[Tensor] = []
    for start in range(0, len(hidden), rows):
        part = hidden[start : start + rows], targets[start : start + rows]
        parts.append(checkpoint(_nats, model.lm_head, *part, label_smoothing, use_reentrant=False))
    return torch.stack(parts).sum()


def _nats(head: nn.Module, hidden: Tensor, targets: Tensor, label_smoothing: float) -> Tensor:
    logits: Tensor = head(hidden)
    wide = torch.promote_types(logits.dtype, torch.float32)
    return F.cross_entropy(logits.to(wide), targets, label_smoothing=label_smoothing, reduction="sum")


def each_nats(model: LanguageModel, hidden: Tensor, targets: Tensor, *, chunk: int = CHUNK) -> Tensor:
    """(N,) what each token costs, in nats and at least in float32, for losses that weigh them.

    Works through so many tokens at a time that their logits are at most `chunk` numbers; for the gradients they are
    computed again.
    """
    rows = max(1, chunk // model.config.vocab_size)
    if len(hidden) <= rows:
        return _each(model.lm_head, hidden, targets)
    parts: list[Tensor] = []
    for start in range(0, len(hidden), rows):
        part = hidden[start : start + rows], targets[start : start + rows]
        parts.append(checkpoint(_each, model.lm_head, *part, use_reentrant=False))
    return torch.cat(parts)


def _each(head: nn.Module, hidden: Tensor, targets: Tensor) -> Tensor:
    logits: Tensor = head(hidden)
    wide = torch.promote_types(logits.dtype, torch.float32)
    return F.cross_entropy(logits.to(wide), targets, reduction="none")


def nats_of_each(model: LanguageModel, hidden: Tensor, targets: Tensor, *, chunk: int = CHUNK) -> Tensor:
    """(N,) what each token costs, in nats and at least in float32; no gradients are kept."""
    rows = max(1, chunk // model.config.vocab_size)
    wide = torch.promote_types(hidden.dtype, torch.float32)
    parts = [
        F.cross_entropy(model.lm_head(part).to(wide), wanted, reduction="none")
        for part, wanted in zip(torch.split(hidden, rows), torch.split(targets, rows), strict=True)
    ]
    return torch.cat(parts) if parts else torch.zeros(0, dtype=wide)
