"""Fewer and longer vectors of a picture: those of neighbouring patches, laid end to end."""

from __future__ import annotations

from torch import Tensor


def pixel_shuffle(x: Tensor, scale: int) -> Tensor:
    """(M, S / scale², D · scale²) of a square of S patches (M, S, D), both by rows from the top left.

    As in Idefics3 (Laurençon et al. 2024, arXiv:2408.12637), after Shi et al. 2016 (arXiv:1609.05158), backwards.
    """
    M, S, D = x.shape
    side = int(S**0.5)
    assert side * side == S, f"{S} patches are no square"
    assert side % scale == 0, f"a side of {side} patches is no multiple of {scale}"
    blocks = x.view(M, side // scale, scale, side // scale, scale, D).transpose(2, 3)  # row, column, row in it, …
    return blocks.reshape(M, S // scale**2, scale**2 * D)
