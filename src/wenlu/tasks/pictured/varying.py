"""Pictures that are shown a little otherwise each time, so that what is learnt does not hang on their pixels."""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor


def varied(pixel_values: Tensor, amount: float) -> Tensor:
    """Pictures (M, C, H, W), each moved, scaled and in other colours, by chance: random affine maps without rotation,
    and jitter of brightness, contrast and colour (Krizhevsky et al. 2012, "ImageNet classification", section 4.1).

    What comes in from beyond an edge is the edge's own colour. Chance is torch's, as that of dropout.

    Args:
        amount: the most that is moved, as a share of half the side; that the side grows or shrinks by; that values are
            multiplied by more or less than 1, each channel by its own; and, halved, that is added to all.
    """
    count, channels = pixel_values.shape[:2]

    def drawn(*shape: int) -> Tensor:
        return amount * (2 * torch.rand(shape, device=pixel_values.device) - 1)

    maps = torch.zeros(count, 2, 3, device=pixel_values.device)
    maps[:, 0, 0] = maps[:, 1, 1] = 1 + drawn(count)
    maps[:, :, 2] = drawn(count, 2)
    grid = F.affine_grid(maps, list(pixel_values.shape), align_corners=False).to(pixel_values)
    moved = F.grid_sample(pixel_values, grid, padding_mode="border", align_corners=False)
    factor, shift = 1 + drawn(count, channels, 1, 1), drawn(count, 1, 1, 1) / 2
    return moved * factor.to(moved) + shift.to(moved)
