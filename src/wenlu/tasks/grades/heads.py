"""The heads that grade: one number a trait, or a probability for each threshold between grades."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor, nn


class RegressionHead(nn.Module):
    """Scores (B, T) of vectors (B, D), as shares of the scale; they begin around its middle."""

    def __init__(self, hidden_size: int, outputs: int, dropout: float) -> None:
        super().__init__()
        self.dropout = nn.Dropout(dropout)
        self.score = nn.Linear(hidden_size, outputs)
        nn.init.normal_(self.score.weight, std=0.02)
        nn.init.constant_(self.score.bias, 0.5)

    def forward(self, x: Tensor) -> Tensor:
        out: Tensor = self.score(self.dropout(x))
        return out


class OrdinalHead(nn.Module):
    """Logits of the probability that the grade is above each threshold: (B, sum of K - 1) of vectors (B, D).

    The thresholds of a trait differ in their bias alone, so that their order does not depend on the text. They begin as
    if every grade were as frequent.
    """

    def __init__(self, hidden_size: int, grades: Sequence[int], dropout: float) -> None:
        super().__init__()
        self.thresholds = [count - 1 for count in grades]
        self.dropout = nn.Dropout(dropout)
        self.score = nn.Linear(hidden_size, len(grades), bias=False)
        nn.init.normal_(self.score.weight, std=0.02)
        above = [1 - (k + 1) / count for count in grades for k in range(count - 1)]
        self.bias = nn.Parameter(torch.logit(torch.tensor(above)))

    def forward(self, x: Tensor) -> Tensor:
        scores = self.score(self.dropout(x))  # (B, T)
        wide = [scores[:, t : t + 1].expand(-1, count) for t, count in enumerate(self.thresholds)]
        return torch.cat(wide, dim=1) + self.bias
