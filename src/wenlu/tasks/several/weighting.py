"""How much the loss of each of several tasks counts."""

from __future__ import annotations

import torch
from torch import Tensor

from wenlu.tasks.grading import Grading
from wenlu.tasks.labelled import ReadingTask


def by_uncertainty(total: Tensor, count: int, log_variance: Tensor, factor: float) -> Tensor:
    """Σ c exp(-s) l + s / 2 over `count` losses l that sum to `total`, where s = log σ² is learnt.

    The likelihood of answers with a noise of variance σ² (Kendall, Gal & Cipolla 2018, arXiv:1705.07115, section 3.2).
    It is least at exp(s) = 2 c l̄: there each member counts in inverse proportion to its own mean loss l̄.

    Args:
        factor: c.
    """
    wide = total.to(log_variance.dtype)
    return (factor * torch.exp(-log_variance) * wide + count * log_variance / 2).sum()


def factor_of(task: ReadingTask) -> float:
    """c: 1/2 for a squared error, which has a normal distribution's density, and 1 for a cross-entropy."""
    return 0.5 if isinstance(task, Grading) and task.config.head == "regression" else 1.0
