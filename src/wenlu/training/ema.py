"""A moving average of the weights, which wanders less than they do at the end of a run."""

from __future__ import annotations

from collections.abc import Mapping

import torch
from torch import Tensor


class MovingAverage:
    """Exponential moving average (Polyak & Juditsky 1992), in the precision of the optimizer's weights.

    A young average would be mostly the weights that the run began with: after n updates it keeps at most
    (1 + n) / (10 + n) of itself, so that it always rests on about the last tenth of the run or on less.

    Attributes:
        weights: the averages, by name.
        updates: how many it has seen.
    """

    def __init__(self, decay: float, weights: Mapping[str, Tensor]) -> None:
        self.decay = decay
        self.weights = {name: weight.detach().clone() for name, weight in weights.items()}
        self.updates = 0

    def update(self, weights: Mapping[str, Tensor]) -> None:
        """Move the averages towards the weights after one more update."""
        self.updates += 1
        kept = min(self.decay, (1 + self.updates) / (10 + self.updates))
        newest = [weights[name].detach() for name in self.weights]
        torch._foreach_lerp_(list(self.weights.values()), newest, 1.0 - kept)
