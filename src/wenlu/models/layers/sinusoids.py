"""Positions as waves of ever longer period (Vaswani et al. 2017, arXiv:1706.03762)."""

from __future__ import annotations

import torch
from torch import Tensor

BASE = 10_000.0
"""The longest period is 2π times as many positions."""


def sinusoids(positions: Tensor, size: int, dtype: torch.dtype) -> Tensor:
    """(…, `size`): the sines of all periods at `positions` (…), then the cosines; an odd `size` has a sine more.

    Rounded to fp32 first, as stored tables are.
    """
    sines, cosines = _waves(positions, size)
    return torch.cat((sines, cosines), dim=-1).float().to(dtype)


def interleaved_sinusoids(positions: Tensor, size: int, dtype: torch.dtype) -> Tensor:
    """The same with the sine and the cosine of each period side by side, as in the paper."""
    sines, cosines = _waves(positions, size)
    out = sines.new_empty(*positions.shape, size)
    out[..., 0::2], out[..., 1::2] = sines, cosines
    return out.float().to(dtype)


def _waves(positions: Tensor, size: int) -> tuple[Tensor, Tensor]:
    periods = BASE ** (torch.arange(0, size, 2, dtype=torch.float64, device=positions.device) / size)
    angles = positions[..., None].double() / periods
    return angles.sin(), angles[..., : size // 2].cos()
