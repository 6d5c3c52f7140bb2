"""Relative positions as numbers that are added to the scores (Raffel et al. 2020, arXiv:1910.10683)."""

from __future__ import annotations

import math

import torch
from torch import Tensor, nn


class RelativeBias(nn.Module):
    """One learned number for each head and each bucket of distances.

    Args:
        num_buckets: half of them hold one distance each, the others ever more, up to `max_distance`.
        max_distance: from here on all distances share the last bucket.
        is_causal: no key stands after its query; else half of the buckets are for those that do.
    """

    def __init__(self, *, num_heads: int, num_buckets: int, max_distance: int, is_causal: bool) -> None:
        super().__init__()
        self.max_distance = max_distance
        self.is_causal = is_causal
        self.weight = nn.Parameter(torch.empty(num_buckets, num_heads))

    def forward(self, places: Tensor, num_keys: int) -> Tensor:
        """(B or 1, N, T, S) for queries at `places` (B or 1, T) and keys at 0 … S - 1."""
        ahead = torch.arange(num_keys, device=places.device) - places[..., None]  # (B or 1, T, S)
        chosen = buckets(ahead, num_buckets=len(self.weight), max_distance=self.max_distance, is_causal=self.is_causal)
        return nn.functional.embedding(chosen, self.weight).permute(0, 3, 1, 2)


def buckets(ahead: Tensor, *, num_buckets: int, max_distance: int, is_causal: bool) -> Tensor:
    """The bucket of each key that stands `ahead` places after its query (before it: negative)."""
    if is_causal:
        return _by_distance((-ahead).clamp(min=0), num_buckets, max_distance)
    side = num_buckets // 2
    return _by_distance(ahead.abs(), side, max_distance) + side * (ahead > 0)


def _by_distance(distance: Tensor, num_buckets: int, max_distance: int) -> Tensor:
    """Near distances have buckets of their own; of the far ones the logarithm counts, in fp32 as in T5."""
    near = num_buckets // 2
    share = torch.log(distance.clamp(min=1).float() / near) / math.log(max_distance / near)
    far = near + (share * (num_buckets - near)).long()
    return torch.where(distance < near, distance, far.clamp(max=num_buckets - 1))
