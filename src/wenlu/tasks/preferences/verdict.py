"""What is thought of a pair of answers, and what that comes to."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from torch import Tensor

from wenlu.metrics import ACCURACY, REWARD_MARGIN, Columns
from wenlu.tasks.task import Part, Reading, Totals

MEASURES = (ACCURACY, REWARD_MARGIN)


@dataclass(frozen=True)
class Verdict:
    """The rewards of both answers, in nats."""

    chosen: float
    rejected: float

    @property
    def margin(self) -> float:
        return self.chosen - self.rejected

    def told(self) -> dict[str, Any]:
        """Which answer has the higher reward, and how likely people prefer it by the Bradley–Terry model."""
        return {
            "prediction": "chosen" if self.margin > 0 else "rejected",
            "probability": round(float(1 / (1 + np.exp(-abs(self.margin)))), 6),
            "reward_chosen": round(self.chosen, 6),
            "reward_rejected": round(self.rejected, 6),
        }


def judged(answers: Sequence[Verdict]) -> Columns:
    margins = np.array([answer.margin for answer in answers])
    return {"correct": (margins > 0).astype(np.int64), "margins": margins}


def parts_of(loss: Tensor, chosen: Tensor, rejected: Tensor) -> dict[str, Part]:
    """Of a batch's summed loss and the rewards (B,) of its answers."""
    count = len(chosen)
    return {
        "preference": Part(loss.item(), count, int((chosen > rejected).sum())),
        "reward_chosen": Part(chosen.sum().item(), count, 0),
        "reward_rejected": Part(rejected.sum().item(), count, 0),
    }


def readings_of(totals: Totals, unit: str) -> tuple[Reading, ...]:
    """The loss, how often the better answer has the higher reward, and the rewards."""
    count = max(1, totals.count)
    chosen, rejected = (totals.parts[name].sum / count for name in ("reward_chosen", "reward_rejected"))
    return (
        Reading("validation", totals.sum / count, unit),
        Reading("preference.accuracy", totals.parts["preference"].right / count, "fraction"),
        Reading("reward_margin", chosen - rejected, "nats/pair"),
        Reading("reward_chosen", chosen, "nats/pair"),
        Reading("reward_rejected", rejected, "nats/pair"),
    )
