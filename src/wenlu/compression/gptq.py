"""GPTQ: round one input's weights after another, and let those to come make up for what was lost.

Frantar et al. 2023, arXiv:2210.17323. With H = Σ x xᵀ of the inputs, the loss of rounding column j is spread over the
columns behind it by the upper Cholesky factor of H⁻¹. Columns that matter most (large H_jj) go first, while scales
belong to neighbours in the stored order: the grid is that of rounding to the nearest. A weight that is zero stays so,
as one that was pruned should.
"""

from __future__ import annotations

from functools import partial
from typing import Annotated, ClassVar, Literal

import torch
from pydantic import Field, PositiveInt
from torch import Tensor, nn

from wenlu.bundle import Bundle
from wenlu.compression.calibration import Calibration, Gram
from wenlu.compression.layerwise import layerwise
from wenlu.compression.method import Compressed, QuantiseConfig
from wenlu.errors import WeightsError
from wenlu.models.quantised import Grid, QuantisedLinear
from wenlu.progress import QUIET, Progress

_TRIES = 6


class GptqConfig(QuantiseConfig):
    """GPTQ.

    Attributes:
        act_order: begin with the inputs of the largest energy.
        damping: this share of the mean of H's diagonal is added to it; ten times as much as often as H has no factor.
        block_columns: so many columns are rounded before those behind them learn of it.
    """

    is_calibrated: ClassVar[bool] = True

    method: Literal["gptq"] = "gptq"
    act_order: bool = True
    damping: Annotated[float, Field(gt=0, le=1)] = 0.01
    block_columns: PositiveInt = 128


def gptq(
    bundle: Bundle, config: GptqConfig, calibration: Calibration | None = None, progress: Progress = QUIET
) -> Compressed:
    """Quantise the maps of the bundle's model in place; raises UsageError, WeightsError as `layerwise`."""
    return layerwise(bundle, partial(_quantised, config=config), calibration, name=config.label, progress=progress)


def _quantised(linear: nn.Linear, seen: Gram, config: GptqConfig) -> QuantisedLinear:
    grid = Grid.of(linear.weight, config.grid)
    return QuantisedLinear.with_codes(linear, grid, gptq_codes(linear.weight, seen.matrix, grid, config))


def gptq_codes(weight: Tensor, hessian: Tensor, grid: Grid, config: GptqConfig) -> Tensor:
    """(M, K) uint8 codes of (M, K) weights, with H (K, K); raises WeightsError where H has no Cholesky factor."""
    scales, zeros = grid.scale_of(slice(None)), grid.zero_of(slice(None))
    most, pruned = 2**config.bits - 1, weight == 0
    energies = hessian.diagonal()
    order = energies.argsort(descending=True, stable=True) if config.act_order else torch.arange(len(energies))
    factor = _inverse_factor(hessian[order][:, order], config.damping)
    left = weight.detach()[:, order].to(factor.dtype).clone()
    scales, zeros = scales[:, order].to(factor.dtype), zeros[:, order].to(factor.dtype)
    codes = torch.empty(weight.shape, dtype=torch.uint8)
    for start in range(0, left.size(1), config.block_columns):
        end = min(start + config.block_columns, left.size(1))
        losses = left.new_empty(len(left), end - start)
        for j in range(start, end):
            code = ((left[:, j] / scales[:, j]).round() + zeros[:, j]).clamp(0, most)
            code = torch.where(pruned[:, order[j]], zeros[:, j], code)
            codes[:, order[j]] = code.to(torch.uint8)
            loss = (left[:, j] - (code - zeros[:, j]) * scales[:, j]) / factor[j, j]
            left[:, j + 1 : end] -= loss[:, None] * factor[j, j + 1 : end]
            losses[:, j - start] = loss
        left[:, end:] -= losses @ factor[start:end, end:]
    return codes


def _inverse_factor(hessian: Tensor, damping: float) -> Tensor:
    """The upper Cholesky factor of the damped matrix's inverse, in float32 (K, K); it is found in float64."""
    wide = hessian.double().clone()
    diagonal = wide.diagonal()
    mean = float(diagonal.mean())
    if not torch.isfinite(wide).all():
        raise WeightsError("its inputs are not finite: the model overflows on these texts; load it as float32")
    diagonal[diagonal == 0] = mean or 1.0  # an input that is never there: any weight will do
    for attempt in range(_TRIES):
        damped = wide + torch.eye(len(wide), dtype=wide.dtype) * (damping * 10**attempt * (mean or 1.0))
        lower, failed = torch.linalg.cholesky_ex(damped)
        if int(failed):
            continue
        upper, failed = torch.linalg.cholesky_ex(torch.cholesky_inverse(lower), upper=True)
        if not int(failed):
            found: Tensor = upper.float()
            return found
    raise WeightsError(f"its inputs on these texts have no Cholesky factor, even with {_TRIES} times more damping")
