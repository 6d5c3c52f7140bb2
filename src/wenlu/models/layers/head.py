"""Heads that do more than one product."""

from __future__ import annotations

import torch
from torch import Tensor, nn


class CappedHead(nn.Linear):
    """Logits l become `softcap` · tanh(l / `softcap`) (Gemma 2, arXiv:2408.00118)."""

    def __init__(self, hidden_size: int, vocab_size: int, softcap: float) -> None:
        super().__init__(hidden_size, vocab_size, bias=False)
        self.softcap = softcap

    def forward(self, input: Tensor) -> Tensor:
        return self.softcap * torch.tanh(super().forward(input) / self.softcap)


class ScaledHead(nn.Linear):
    """Logits of hidden states times `scale`, without a bias."""

    def __init__(self, hidden_size: int, vocab_size: int, scale: float) -> None:
        super().__init__(hidden_size, vocab_size, bias=False)
        self.scale = scale

    def forward(self, input: Tensor) -> Tensor:
        return super().forward(input * self.scale)
