"""The learning rate over a run, as a factor of its peak."""

from __future__ import annotations

import math
from typing import Annotated, Literal

from pydantic import Field, NonNegativeInt

from wenlu.config import Config

Fraction = Annotated[float, Field(ge=0.0, le=1.0)]


class ScheduleConfig(Config):
    """The section `[schedule]`: linear warm-up, then one of

    - `cosine`: half a cosine down to `final_fraction` (Loshchilov & Hutter 2017, arXiv:1608.03983);
    - `warmup-stable-decay`: the peak, then linear down over the last `decay_fraction`
      (Hu et al. 2024, arXiv:2404.06395);
    - `constant`.
    """

    name: Literal["cosine", "warmup-stable-decay", "constant"] = "cosine"
    warmup_steps: NonNegativeInt = 20
    decay_fraction: Fraction = 0.6
    final_fraction: Fraction = 0.0


def learning_rate_factor(config: ScheduleConfig, step: int, steps: int) -> float:
    """Factor in [0, 1] for the update after `step` earlier ones, of `steps` in all."""
    warmup = min(config.warmup_steps, steps)
    if step < warmup:
        return (step + 1) / warmup
    done = (step - warmup + 1) / max(1, steps - warmup + 1)  # in (0, 1)
    falling = 1.0 - config.final_fraction
    match config.name:
        case "constant":
            return 1.0
        case "cosine":
            return config.final_fraction + falling * (1 + math.cos(math.pi * done)) / 2
        case "warmup-stable-decay":
            if config.decay_fraction == 0.0:
                return 1.0
            return config.final_fraction + falling * min(1.0, (1 - done) / config.decay_fraction)
