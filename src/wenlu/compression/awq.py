"""AWQ: larger weights where inputs are large, so that rounding hurts least (Lin et al. 2023, arXiv:2306.00978)."""

from __future__ import annotations

from functools import partial
from typing import ClassVar, Literal

import torch
from pydantic import PositiveInt
from torch import Tensor

from wenlu.bundle import Bundle
from wenlu.compression.calibration import Calibration, Gram
from wenlu.compression.folding import Fold, fold_and_round
from wenlu.compression.method import Compressed, QuantiseConfig
from wenlu.models.quantised import Grid
from wenlu.progress import QUIET, Progress


class AwqConfig(QuantiseConfig):
    """Scales are the inputs' root mean squares to a power, which is searched from 0 to 1.

    Attributes:
        steps: of the search. The power 0 moves nothing, so no place comes out worse than by rounding alone.
    """

    is_calibrated: ClassVar[bool] = True

    method: Literal["awq"] = "awq"
    steps: PositiveInt = 10


def awq(
    bundle: Bundle, config: AwqConfig, calibration: Calibration | None = None, progress: Progress = QUIET
) -> Compressed:
    """Quantise the maps of the bundle's model in place; raises UsageError as `fold_and_round`."""
    return fold_and_round(bundle, config, partial(best_scales, config=config), calibration, progress)


def best_scales(fold: Fold, weights: list[Tensor], seen: list[Gram], config: AwqConfig) -> Tensor | None:
    """(K,) those of the power with the least ‖WX − ŴX‖² over all targets; None where nothing is better as it is."""
    sizes = seen[0].norms / max(1, seen[0].count) ** 0.5
    best, least = None, _loss(weights, seen, torch.ones_like(sizes), config)
    for step in range(1, config.steps + 1):
        scales = fold.alike(sizes.clamp(min=1e-4) ** (step / config.steps))
        scales = scales / (scales.max() * scales.min()).sqrt()
        loss = _loss(weights, seen, scales, config)
        if loss < least:
            best, least = scales, loss
    return best


def _loss(weights: list[Tensor], seen: list[Gram], scales: Tensor, config: AwqConfig) -> float:
    total = 0.0
    for weight, gram in zip(weights, seen, strict=True):
        scaled = weight.float() * scales
        apart = weight.float() - Grid.of(scaled, config.grid).rounded(scaled) / scales
        total += float(((apart @ gram.matrix.float()) * apart).sum())
    return total
