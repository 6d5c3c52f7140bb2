"""SmoothQuant: weights and inputs of eight bits, after large inputs were shared out.

Xiao et al. 2022, arXiv:2211.10438. The products are computed with rounded numbers in the model's own type: the answers
are those of W8A8 but for the rounding of sums, the speed is not.
"""

from __future__ import annotations

from functools import partial
from typing import Annotated, ClassVar, Literal

import torch
from pydantic import Field, PositiveInt
from torch import Tensor

from wenlu.bundle import Bundle
from wenlu.compression.calibration import Calibration, Gram
from wenlu.compression.folding import Fold, fold_and_round
from wenlu.compression.method import Compressed, Kind, QuantiseConfig
from wenlu.models.quantised import GridConfig
from wenlu.progress import QUIET, Progress


class SmoothQuantConfig(QuantiseConfig):
    """Attributes:
    strength: how much of what is hard to round moves from inputs to weights; 0 none, 1 all.
    """

    is_calibrated: ClassVar[bool] = True

    method: Literal["smoothquant"] = "smoothquant"
    bits: Literal[8] = 8
    group_size: PositiveInt | Literal["row"] = "row"
    strength: Annotated[float, Field(ge=0, le=1)] = 0.5

    @property
    def kind(self) -> Kind:
        return "w8a8"

    @property
    def grid(self) -> GridConfig:
        return super().grid.model_copy(update={"activation_bits": 8})


def smoothquant(
    bundle: Bundle, config: SmoothQuantConfig, calibration: Calibration | None = None, progress: Progress = QUIET
) -> Compressed:
    """Quantise the maps of the bundle's model in place; raises UsageError as `fold_and_round`."""
    return fold_and_round(bundle, config, partial(smoothing, config=config), calibration, progress)


def smoothing(fold: Fold, weights: list[Tensor], seen: list[Gram], config: SmoothQuantConfig) -> Tensor | None:
    """(K,) max|X|^a / max|W|^(1 - a) behind norms; None elsewhere, as in the paper."""
    if not fold.is_norm:
        return None
    inputs = torch.stack([gram.largest for gram in seen]).amax(dim=0).clamp(min=1e-5)
    largest = torch.cat([weight.float().abs() for weight in weights]).amax(dim=0).clamp(min=1e-5)
    scales = inputs**config.strength / largest ** (1 - config.strength)
    return scales.clamp(min=1e-5)
