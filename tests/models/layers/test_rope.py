"""Rotary positions: what the construction promises."""

from __future__ import annotations

import torch

from wenlu.models.layers.rope import RopeConfig, frequencies, rope_at

PLAIN = RopeConfig(rope_theta=100.0)


def test_scores_depend_on_the_distance_only() -> None:
    q, k = torch.randn(2, 1, 1, 1, 8, dtype=torch.float64)
    scores = []
    for start in (0, 5, 40):
        rope = rope_at(torch.tensor([[start + 3, start]]), PLAIN, head_dim=8, dtype=torch.float64)
        turned = rope.rotate(torch.cat([q, k], dim=1))
        scores.append((turned[0, 0] * turned[0, 1]).sum())
    torch.testing.assert_close(torch.stack(scores), scores[0].expand(3), atol=1e-5, rtol=1e-5)


def test_rotation_keeps_lengths_and_position_zero_is_untouched() -> None:
    x = torch.randn(2, 4, 3, 8, dtype=torch.float64)
    turned = rope_at(torch.arange(4)[None], PLAIN, head_dim=8, dtype=torch.float64).rotate(x)
    torch.testing.assert_close(turned.norm(dim=-1), x.norm(dim=-1), atol=1e-6, rtol=1e-6)
    assert torch.equal(turned[:, 0], x[:, 0])
    assert not torch.equal(turned[:, 1], x[:, 1])


def test_frequencies_fall_geometrically_from_one() -> None:
    torch.testing.assert_close(frequencies(PLAIN, 8), torch.tensor([1.0, 100**-0.25, 0.1, 100**-0.75]))


def test_linear_scaling_is_a_slower_clock() -> None:
    slow = RopeConfig(rope_type="linear", rope_theta=100.0, factor=4.0)
    a = rope_at(torch.tensor([[12]]), slow, head_dim=8, dtype=torch.float32)
    b = rope_at(torch.tensor([[3]]), PLAIN, head_dim=8, dtype=torch.float32)
    torch.testing.assert_close((a.cos, a.sin), (b.cos, b.sin))


def test_llama3_scaling_keeps_fast_pairs_and_divides_slow_ones() -> None:
    scaled = RopeConfig(
        rope_type="llama3",
        rope_theta=1e6,
        factor=8.0,
        low_freq_factor=1.0,
        high_freq_factor=4.0,
        original_max_position_embeddings=64,
    )
    ratio = frequencies(scaled, 32) / frequencies(RopeConfig(rope_theta=1e6), 32)
    assert ratio[0] == 1
    assert ratio[-1] == 1 / 8
    assert (ratio.diff() <= 0).all()
