"""What a pair of answers costs, by the log-probabilities that a model and its reference give them.

Of a pair let δ = (log π(chosen) - log π_ref(chosen)) - (log π(rejected) - log π_ref(rejected)), each log-probability
summed over the tokens of the answer.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

import torch
import torch.nn.functional as F
from torch import Tensor

PreferenceLoss = Literal["sigmoid", "ipo", "robust", "orpo"]
NEEDS_REFERENCE: tuple[PreferenceLoss, ...] = ("sigmoid", "ipo", "robust")


@dataclass(frozen=True)
class Said:
    """Summed log-probabilities (B,) of answers, and how many tokens each has."""

    logp: Tensor
    tokens: Tensor

    @property
    def mean(self) -> Tensor:
        """Per token; 0 for an answer that has none."""
        return self.logp / self.tokens.clamp(min=1)

    def __sub__(self, reference: Tensor) -> Said:
        return Said(self.logp - reference, self.tokens)


def pair_losses(
    chosen: Said, rejected: Said, reference: Tensor, *, loss: PreferenceLoss, beta: float, label_smoothing: float
) -> Tensor:
    """(B,) the loss of each pair.

    - "sigmoid": -log σ(βδ) (DPO: Rafailov et al. 2023, arXiv:2305.18290); with `label_smoothing` ε it is
      -(1-ε) log σ(βδ) - ε log σ(-βδ), for labels of which so many are wrong (cDPO: Mitchell 2023).
    - "robust": the same for such labels without bias, (-(1-ε) log σ(βδ) + ε log σ(-βδ)) / (1-2ε) (Chowdhury et al.
      2024, arXiv:2403.00409).
    - "ipo": (δ' - 1/(2β))², where δ' is of means per token (Azar et al. 2023, arXiv:2310.12036).
    - "orpo": the chosen answer's cross-entropy per token, less β log σ of the logarithm of the ratio of both answers'
      odds, of means per token; without a reference (Hong et al. 2024, arXiv:2403.07691).

    Args:
        reference: (B, 2) summed log-probabilities of the reference for both answers; without effect on "orpo".
    """
    if loss == "orpo":
        odds = log_odds(chosen.mean) - log_odds(rejected.mean)
        return -chosen.mean - beta * F.logsigmoid(odds)
    better, worse = chosen - reference[:, 0], rejected - reference[:, 1]
    if loss == "ipo":
        return (better.mean - worse.mean - 1 / (2 * beta)) ** 2
    delta = beta * (better.logp - worse.logp)
    right, wrong = F.logsigmoid(delta), F.logsigmoid(-delta)
    if loss == "robust":
        return (-(1 - label_smoothing) * right + label_smoothing * wrong) / (1 - 2 * label_smoothing)
    return -(1 - label_smoothing) * right - label_smoothing * wrong


def log_odds(logp: Tensor) -> Tensor:
    """log(p / (1-p)) of log p < 0."""
    return logp - torch.log1p(-logp.exp())


def rewards(
    chosen: Said, rejected: Said, reference: Tensor, *, loss: PreferenceLoss, beta: float
) -> tuple[Tensor, Tensor]:
    """(B,) what the model implicitly rewards each answer with, in nats: β times how much likelier it makes it than the
    reference does; for "orpo" β times its mean log-probability."""
    if loss == "orpo":
        return beta * chosen.mean, beta * rejected.mean
    better, worse = chosen - reference[:, 0], rejected - reference[:, 1]
    if loss == "ipo":
        return beta * better.mean, beta * worse.mean
    return beta * better.logp, beta * worse.logp
