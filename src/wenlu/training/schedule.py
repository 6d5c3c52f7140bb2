"""The learning rate over a run, as a factor of its peak."""

from __future__ import annotations

import math
from typing import Annotated, Literal

from pydantic import Field, NonNegativeInt

from wenlu.config import Config

Fraction = Annotated[float, Field(ge=0.0, le=1.0)]
ScheduleName = Literal["constant", "linear", "cosine", "warmup-stable-decay", "inverse-square-root"]


class ScheduleConfig(Config):
    """The section `[schedule]`: linear warm-up to the peak (Goyal et al. 2017, arXiv:1706.02677), then one of

    - `constant`: the peak;
    - `linear`: straight down to `final_fraction` at the end (Devlin et al. 2019, arXiv:1810.04805);
    - `cosine`: half a cosine down to `final_fraction` (Loshchilov & Hutter 2017, arXiv:1608.03983);
    - `warmup-stable-decay`: the peak, then linear down to `final_fraction` over the last `decay_fraction`
      (Hu et al. 2024, arXiv:2404.06395);
    - `inverse-square-root`: the peak times the root of warm-up steps over steps, so that the length of the run plays
      no part (Vaswani et al. 2017, arXiv:1706.03762).
    """

    name: ScheduleName = "cosine"
    warmup_steps: NonNegativeInt = 20
    warmup_fraction: Fraction | None = None
    """Of all steps, in place of `warmup_steps`."""
    decay_fraction: Fraction = 0.6
    """Of the steps after warm-up: how many of them `warmup-stable-decay` spends on going down."""
    final_fraction: Fraction = 0.0
    """Of the peak: where `linear`, `cosine` and `warmup-stable-decay` end."""


def learning_rate_factor(config: ScheduleConfig, step: int, steps: int) -> float:
    """Factor in [0, 1] for the update after `step` earlier ones, of `steps` in all.

    The last update still moves something: `final_fraction` would be the factor of the one after it.
    """
    warmup = min(config.warmup_steps, steps)
    if config.warmup_fraction is not None:
        warmup = round(config.warmup_fraction * steps)
    if step < warmup:
        return (step + 1) / warmup
    left = 1.0 - (step - warmup + 1) / max(1, steps - warmup + 1)  # in (0, 1), of the time after warm-up
    match config.name:
        case "constant":
            return 1.0
        case "inverse-square-root":
            return math.sqrt(max(1, warmup) / (step + 1))
        case "linear":
            height = left
        case "cosine":
            height = (1 - math.cos(math.pi * left)) / 2
        case "warmup-stable-decay":
            height = min(1.0, left / config.decay_fraction) if config.decay_fraction else 1.0
    return config.final_fraction + (1.0 - config.final_fraction) * height
