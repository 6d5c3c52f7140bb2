"""The numbers that a weight may become: evenly spaced, with a scale of their own for each group of neighbours."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

import torch
import torch.nn.functional as F
from pydantic import PositiveInt
from torch import Tensor

from wenlu.config import Config
from wenlu.errors import WeightsError
from wenlu.kernels.quantised import Bits, middle


class GridConfig(Config):
    """How finely weights are rounded.

    Attributes:
        bits: of a code.
        group_size: how many neighbours along the input share a scale; "row": all that make one output.
        symmetric: zero stands in the middle of the codes; otherwise each group has the zero that fits its range.
        scale_dtype: of the scales.
        activation_bits: what the inputs are rounded to as well, each token with the scale that reaches its largest.
    """

    bits: Bits = 4
    group_size: PositiveInt | Literal["row"] = 64
    symmetric: bool = True
    scale_dtype: Literal["float16", "float32"] = "float16"
    activation_bits: Literal[8] | None = None

    def group_of(self, columns: int) -> int:
        """The group's length in rows of so many weights."""
        return columns if self.group_size == "row" else min(self.group_size, columns)

    def groups_of(self, columns: int) -> int:
        return -(-columns // self.group_of(columns))

    @property
    def bits_per_weight(self) -> float:
        """With scales and zeros, in rows without end."""
        if self.group_size == "row":
            return self.bits
        each = (16 if self.scale_dtype == "float16" else 32) + (0 if self.symmetric else 8)
        return self.bits + each / self.group_size


@dataclass(frozen=True)
class Grid:
    """The grid of one (M, K) weight: `scales` (M, G) and `zeros` (M, G) uint8, or None where zero is the middle."""

    config: GridConfig
    columns: int
    scales: Tensor
    zeros: Tensor | None

    @classmethod
    def of(cls, weight: Tensor, config: GridConfig) -> Grid:
        """The finest grid that reaches the largest weight of each group, so that no rounding is over half a scale.

        Raises:
            WeightsError: weights that are not finite, or too large for the type of the scales.
        """
        rows, columns = weight.shape
        group, groups = config.group_of(columns), config.groups_of(columns)
        padded = F.pad(weight.detach().float(), (0, groups * group - columns)).view(rows, groups, group)
        if config.symmetric:
            span = padded.abs().amax(dim=-1)
            steps = middle(config.bits) - 1
        else:
            low, high = padded.amin(dim=-1).clamp(max=0), padded.amax(dim=-1).clamp(min=0)
            span = high - low
            steps = 2**config.bits - 1
        scales = _rounded_up(span / steps, getattr(torch, config.scale_dtype))
        if not bool(scales.isfinite().all()):
            raise WeightsError(
                f"weights up to {float(span.max()):g} have no {config.scale_dtype} scale of {config.bits} bits; "
                "look for numbers that are not finite, or take scale_dtype=float32"
            )
        zeros = None if config.symmetric else (-low / scales.float()).round().clamp(0, steps).to(torch.uint8)
        return cls(config, columns, scales, zeros)

    def scale_of(self, columns: Tensor | slice) -> Tensor:
        """(M, C) float32 scales of the given columns."""
        return self._spread(self.scales.float())[:, columns]

    def zero_of(self, columns: Tensor | slice) -> Tensor:
        """(M, C) float32 zeros of the given columns."""
        if self.zeros is None:
            return torch.full_like(self.scale_of(columns), middle(self.config.bits))
        return self._spread(self.zeros.float())[:, columns]

    def codes(self, weight: Tensor) -> Tensor:
        """(M, K) uint8: the nearest code of each weight."""
        return self.codes_at(weight, slice(None)).to(torch.uint8)

    def codes_at(self, weight: Tensor, columns: Tensor | slice) -> Tensor:
        """(M, C) whole numbers in float32: the nearest codes of the weights in those columns."""
        steps = weight.detach().float() / self.scale_of(columns)
        return (steps.round() + self.zero_of(columns)).clamp(0, 2**self.config.bits - 1)

    def values_at(self, codes: Tensor, columns: Tensor | slice) -> Tensor:
        """(M, C) float32 weights that the codes in those columns stand for."""
        return (codes.float() - self.zero_of(columns)) * self.scale_of(columns)

    def rounded(self, weight: Tensor) -> Tensor:
        """(M, K) float32: the nearest weights of the grid."""
        return self.values_at(self.codes(weight), slice(None))

    def _spread(self, of_groups: Tensor) -> Tensor:
        return of_groups.repeat_interleave(self.config.group_of(self.columns), dim=1)[:, : self.columns]


def _rounded_up(scales: Tensor, dtype: torch.dtype) -> Tensor:
    """The least numbers of `dtype` that are not smaller: a smaller scale would not reach the largest weight.

    A group of zeros has the scale 1.
    """
    near = torch.where(scales == 0, 1.0, scales).to(dtype)
    bits = torch.int16 if dtype == torch.float16 else torch.int32
    next_one = (near.view(bits) + 1).view(dtype)  # of positive numbers, the next larger
    return torch.where((near.float() < scales) & near.isfinite(), next_one, near)
