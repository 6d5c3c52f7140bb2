"""Two narrow maps in place of a wide one: the singular value decomposition, as the inputs see it.

With L Lᵀ = Σ x xᵀ of the inputs, the best Ŵ of rank r for ‖WX − ŴX‖ is the truncated W L, times L⁻¹ (Eckart & Young
1936; Wang et al. 2024, arXiv:2403.07378).
"""

from __future__ import annotations

from functools import partial
from typing import Annotated, Any, ClassVar, Literal, Self

import torch
from pydantic import Field, model_validator
from torch import Tensor, nn

from wenlu.bundle import Bundle
from wenlu.compression.calibration import Calibration, Gram
from wenlu.compression.layerwise import layerwise
from wenlu.compression.method import Compressed, Kind, MethodConfig
from wenlu.models.low_rank import LowRankLinear
from wenlu.progress import QUIET, Progress

_DAMPING = 1e-6


class SvdConfig(MethodConfig):
    """How narrow the middle is. A map that would not become smaller stays as it is.

    Attributes:
        share: of a map's weights, so many are left in both factors.
        energy: instead, the least rank that keeps this share of ‖WX‖².
    """

    is_calibrated: ClassVar[bool] = True

    method: Literal["svd"] = "svd"
    share: Annotated[float, Field(gt=0, lt=1)] = 0.5
    energy: Annotated[float, Field(gt=0, lt=1)] | None = None

    @model_validator(mode="after")
    def _one_of_both(self) -> Self:
        if self.energy is not None and "share" in self.model_fields_set:
            raise ValueError("energy: decides the rank, and so does share; remove one of them")
        return self

    @property
    def label(self) -> str:
        return f"svd-{self.share:g}" if self.energy is None else f"svd-e{self.energy:g}"

    @property
    def kind(self) -> Kind:
        return "low-rank"

    @classmethod
    def read_option(cls, text: str) -> dict[str, Any] | None:
        key = "energy" if text.startswith("e") else "share"
        try:
            return {key: float(text.removeprefix("e"))}
        except ValueError:
            return None


def svd(
    bundle: Bundle, config: SvdConfig, calibration: Calibration | None = None, progress: Progress = QUIET
) -> Compressed:
    """Factorise the maps of the bundle's model in place; raises UsageError, WeightsError as `layerwise`."""
    return layerwise(bundle, partial(_narrow, config=config), calibration, name=config.label, progress=progress)


def _narrow(linear: nn.Linear, seen: Gram, config: SvdConfig) -> nn.Module:
    rows, columns = linear.weight.shape
    u, values, v = decomposed(linear.weight, seen)
    if config.energy is None:
        rank = max(1, int(config.share * rows * columns / (rows + columns)))
    else:
        kept = values.square().cumsum(0) / values.square().sum()
        rank = int((kept < config.energy).sum()) + 1
    if rank * (rows + columns) >= rows * columns:
        return linear
    root = values[:rank].sqrt()
    return LowRankLinear.of(linear, u[:, :rank] * root, root[:, None] * v[:rank])


def decomposed(weight: Tensor, seen: Gram) -> tuple[Tensor, Tensor, Tensor]:
    """U (M, R), singular values (R,) and Vᵀ L⁻¹ (R, K) of W L, in float64."""
    damped = seen.matrix.clone()
    damped.diagonal().add_(_DAMPING * float(damped.diagonal().mean()) + 1e-12)
    lower = torch.linalg.cholesky(damped)
    u, values, v = torch.linalg.svd(weight.detach().double() @ lower, full_matrices=False)
    return u, values, torch.linalg.solve_triangular(lower, v, upper=False, left=False)
