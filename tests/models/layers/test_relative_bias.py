"""Buckets of distances are T5's, also far beyond what a tiny model reads."""

from __future__ import annotations

import pytest
import torch
from transformers.models.t5.modeling_t5 import T5Attention

from wenlu.models.layers.relative_bias import RelativeBias, buckets


@pytest.mark.parametrize("is_causal", [False, True])
@pytest.mark.parametrize(
    ("num_buckets", "max_distance"), [(4, 3), (4, 100), (6, 9), (10, 30), (32, 128), (32, 17), (64, 2000), (128, 128)]
)
def test_buckets_are_those_of_transformers(num_buckets: int, max_distance: int, is_causal: bool) -> None:
    ahead = torch.arange(-3000, 3001)
    expected = T5Attention._relative_position_bucket(ahead, not is_causal, num_buckets, max_distance)
    found = buckets(ahead, num_buckets=num_buckets, max_distance=max_distance, is_causal=is_causal)
    assert torch.equal(found, expected)
    assert 0 <= int(found.min()) <= int(found.max()) < num_buckets


def test_queries_of_rows_at_different_places_get_their_own_numbers() -> None:
    bias = RelativeBias(num_heads=3, num_buckets=8, max_distance=20, is_causal=True)
    torch.nn.init.normal_(bias.weight)
    both = bias(torch.tensor([[0, 1], [4, 5]]), 6)
    assert both.shape == (2, 3, 2, 6)
    for row, places in enumerate(([0, 1], [4, 5])):
        assert torch.equal(both[row], bias(torch.tensor([places]), 6)[0])
    assert torch.equal(both[1, :, 0, 4], bias.weight[0])
    assert torch.equal(both[1, :, 1, 2], bias.weight[3])
