"""Zeros in the place of weights that matter least: by size, or by size times what they are multiplied with."""

from __future__ import annotations

import re
from functools import partial
from typing import Annotated, Any, ClassVar, Literal, Self

import torch
from pydantic import Field, field_validator, model_validator
from torch import Tensor, nn

from wenlu.bundle import Bundle
from wenlu.compression.calibration import Calibration, Gram
from wenlu.compression.layerwise import layerwise, maps_of
from wenlu.compression.method import Compressed, Kind, MethodConfig
from wenlu.errors import WeightsError
from wenlu.models.quantised import linear_of
from wenlu.progress import QUIET, Progress

_PATTERN = re.compile(r"([1-9]\d*)(?::|of)([1-9]\d*)")


class SparsityConfig(MethodConfig):
    """How many weights of each map become zero.

    Attributes:
        sparsity: the share of them.
        pattern: instead, "2:4" keeps two of four neighbours along the input, in every row.
    """

    sparsity: Annotated[float, Field(gt=0, lt=1)] = 0.5
    pattern: str | None = None

    @field_validator("pattern")
    @classmethod
    def _n_of_m(cls, value: str | None) -> str | None:
        if value is None:
            return None
        found = _PATTERN.fullmatch(value)
        if found is None or not int(found[1]) < int(found[2]):
            raise ValueError(f"{value!r} is no pattern; write '2:4' to keep two of four")
        return f"{found[1]}:{found[2]}"

    @model_validator(mode="after")
    def _one_of_both(self) -> Self:
        if self.pattern is not None and "sparsity" in self.model_fields_set:
            raise ValueError("pattern: says the sparsity too; remove one of them")
        return self

    @property
    def kept_of(self) -> tuple[int, int] | None:
        if self.pattern is None:
            return None
        kept, size = self.pattern.split(":")
        return int(kept), int(size)

    @property
    def label(self) -> str:
        kept_of = self.kept_of
        return f"{self.method}-{self.sparsity:g}" if kept_of is None else f"{self.method}-{kept_of[0]}of{kept_of[1]}"

    @property
    def kind(self) -> Kind:
        return "pruned"

    @classmethod
    def read_option(cls, text: str) -> dict[str, Any] | None:
        if _PATTERN.fullmatch(text):
            return {"pattern": text.replace("of", ":")}
        try:
            return {"sparsity": float(text)}
        except ValueError:
            return None


class MagnitudeConfig(SparsityConfig):
    """The smallest weights of each matrix go (LeCun et al. 1989; Han et al. 2015, arXiv:1506.02626); reads no text."""

    method: Literal["magnitude"] = "magnitude"


class WandaConfig(SparsityConfig):
    """Those of the smallest |W| · ‖X‖₂ go, in each row alike (Sun et al. 2023, arXiv:2306.11695)."""

    is_calibrated: ClassVar[bool] = True

    method: Literal["wanda"] = "wanda"


def magnitude(
    bundle: Bundle,
    config: MagnitudeConfig,
    calibration: Calibration | None = None,  # noqa: ARG001  (as all methods)
    progress: Progress = QUIET,
) -> Compressed:
    """Prune the maps of the bundle's model in place; raises UsageError, WeightsError as `layerwise`."""
    names = maps_of(bundle)
    progress.start(config.label, total=len(names), unit="layers")
    for name in names:
        linear = linear_of(bundle.model, name)
        scores = linear.weight.detach().abs()
        try:
            _set(linear, zeros_in_all(scores, config.sparsity) if config.kept_of is None else zeros_of(scores, config))
        except WeightsError as error:
            raise WeightsError(f"{bundle.path}: {name}: {error}") from error
    progress.finish(f"{len(names)} layers")
    return Compressed(bundle)


def wanda(
    bundle: Bundle, config: WandaConfig, calibration: Calibration | None = None, progress: Progress = QUIET
) -> Compressed:
    """Prune the maps of the bundle's model in place; raises UsageError, WeightsError as `layerwise`."""
    return layerwise(bundle, partial(_by_wanda, config=config), calibration, name=config.label, progress=progress)


def zeros_of(scores: Tensor, config: SparsityConfig) -> Tensor:
    """(M, K) bool: the lowest `scores` of each row, or of each group of the pattern.

    Raises WeightsError where rows do not divide into groups.
    """
    kept_of = config.kept_of
    if kept_of is None:
        return zeros_in_rows(scores, config.sparsity)
    kept, size = kept_of
    if scores.size(1) % size:
        raise WeightsError(f"rows of {scores.size(1)} weights do not divide into groups of {size}; give a share")
    groups = scores.reshape(-1, size)
    lowest = groups.argsort(dim=1, stable=True)[:, : size - kept]
    return torch.zeros_like(groups, dtype=torch.bool).scatter(1, lowest, True).view_as(scores)


def zeros_in_all(scores: Tensor, share: float) -> Tensor:
    """(M, K) bool: the lowest scores of the whole matrix, their share exact to half a weight."""
    lowest = scores.flatten().argsort(stable=True)[: round(share * scores.numel())]
    return torch.zeros(scores.numel(), dtype=torch.bool).scatter(0, lowest, True).view_as(scores)


def zeros_in_rows(scores: Tensor, share: float) -> Tensor:
    """(M, K) bool: the lowest scores of each row.

    Rows differ by one where the share is no whole number of weights, so that that of the matrix is exact to one.
    """
    rows, columns = scores.shape
    through = (torch.arange(rows + 1, dtype=torch.float64) * share * columns).round().long()
    counts = through.diff()
    places = scores.argsort(dim=1, stable=True).argsort(dim=1, stable=True)
    return places < counts[:, None]


def _by_wanda(linear: nn.Linear, seen: Gram, config: WandaConfig) -> nn.Linear:
    _set(linear, zeros_of(linear.weight.detach().float().abs() * seen.norms, config))
    return linear


def _set(linear: nn.Linear, zeros: Tensor) -> None:
    linear.weight = nn.Parameter(linear.weight.detach().masked_fill(zeros, 0))
