"""What stands on a model that tags: scores of each tag for each word, and of neighbours where they are learnt."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from wenlu.models.layers.crf import CRF
from wenlu.tasks.labelled.headed import Headed


class TaggerHead(nn.Module):
    """Scores (…, L) of each tag for hidden states (…, D); and of neighbours, where there is a `crf`."""

    def __init__(self, hidden_size: int, tags: int, dropout: float, *, crf: bool) -> None:
        super().__init__()
        self.dropout = nn.Dropout(dropout)
        self.classifier = nn.Linear(hidden_size, tags)
        self.crf = CRF(tags) if crf else None
        nn.init.normal_(self.classifier.weight, std=0.02)
        nn.init.zeros_(self.classifier.bias)

    def forward(self, x: Tensor) -> Tensor:
        scores: Tensor = self.classifier(self.dropout(x))
        return scores


@dataclass(frozen=True)
class RowScores:
    """(W, L) of the words that a row answers for, and what scores their neighbours."""

    values: np.ndarray[Any, Any]
    crf: CRF | None


def head_of(model: Headed) -> TaggerHead:
    assert isinstance(model.task_head, TaggerHead), "the head is the task's own"
    return model.task_head


def chain_loss(crf: CRF, scores: Tensor, classes: Tensor, lengths: Tensor, ends: Tensor) -> Tensor:
    """Summed negative log-likelihood of the chains of words, of rows that have any.

    Args:
        scores, classes: (N, L), (N,) row after row. lengths: (B,). ends: (B, 2) whether a text begins, ends there.
    """
    real, ends = lengths[lengths > 0], ends[lengths > 0]
    if not len(real):
        return scores.sum() * 0
    place = torch.arange(int(real.max()), device=scores.device) < real[:, None]  # (B, W)
    emissions = scores.new_zeros(*place.shape, scores.size(1))
    labels = classes.new_zeros(place.shape)
    emissions[place], labels[place] = scores, classes
    # What a chain in the middle of a text adds for an end that is not there is taken off before.
    edge = torch.zeros_like(emissions)
    edge[:, 0] = (~ends[:, :1]) * crf.start
    rows = torch.arange(len(real), device=scores.device)
    edge[rows, real - 1] += (~ends[:, 1:]) * crf.end
    return crf.negative_log_likelihood(emissions - edge, labels, real)
