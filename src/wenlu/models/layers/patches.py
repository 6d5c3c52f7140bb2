"""Pictures cut into square patches, each a vector that knows its place."""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import Tensor, nn


def in_order(side: int) -> Tensor:
    """The numbers of side × side patches, by rows from the top left."""
    return torch.arange(side * side)


class PatchEmbedding(nn.Module):
    """One linear map of each patch and a learned vector for each place (Dosovitskiy et al. 2021, arXiv:2010.11929).

    Args:
        has_class: whether a learned vector, of no patch, stands before the others and gathers what is seen.
        numbers: which of the learned places the patches of a square take, by its side.
    """

    def __init__(
        self,
        *,
        hidden_size: int,
        num_channels: int,
        image_size: int,
        patch_size: int,
        bias: bool = True,
        has_class: bool = False,
        numbers: Callable[[int], Tensor] = in_order,
    ) -> None:
        super().__init__()
        self.picture = (num_channels, image_size, image_size)
        self.side = image_size // patch_size
        self.numbers = numbers
        self.projection = nn.Conv2d(num_channels, hidden_size, patch_size, stride=patch_size, bias=bias)
        self.class_vector = nn.Parameter(torch.zeros(hidden_size)) if has_class else None
        self.positions = nn.Embedding(self.side**2 + has_class, hidden_size)

    def forward(self, pixel_values: Tensor) -> Tensor:
        """(M, S, D) of (M, C, H, W), in the weights' dtype.

        Raises ValueError for pictures of another size: their places would have to be guessed.
        """
        if tuple(pixel_values.shape[1:]) != self.picture:
            raise ValueError(
                f"pixel_values has shape {list(pixel_values.shape)}, but the model reads pictures of shape "
                f"{['M', *self.picture]}; resize them first"
            )
        patches = self.projection(pixel_values.to(self.projection.weight.dtype)).flatten(2).transpose(1, 2)
        numbers = self.numbers(self.side).to(patches.device)
        if self.class_vector is None:
            return patches + self.positions(numbers)  # type: ignore[no-any-return]
        first = (self.class_vector + self.positions.weight[0]).expand(len(patches), 1, -1)
        return torch.cat((first, patches + self.positions(numbers + 1)), dim=1)
