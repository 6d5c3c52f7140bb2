"""Rotary positions: what the construction promises."""

from __future__ import annotations

import torch

from wenlu.models.layers.rope import PartialRopeConfig, RopeConfig, frequencies, rope_at

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


def test_dynamic_scaling_begins_beyond_the_context_and_grows_with_the_text() -> None:
    config = RopeConfig(rope_type="dynamic", rope_theta=100.0, factor=2.0)
    totals = torch.tensor([[5], [16], [17], [64]])
    found = frequencies(config, 8, context=16, totals=totals)  # (4, 1, 4)
    torch.testing.assert_close(found[:2, 0], frequencies(PLAIN, 8).expand(2, 4))
    slowest = found[:, 0, -1]
    assert slowest[1] > slowest[2] > slowest[3]
    torch.testing.assert_close(slowest[3], frequencies(PLAIN, 8)[-1] / 7)  # 2 · 64 / 16 - 1: NTK keeps the first pair
    torch.testing.assert_close(found[3, 0, 0], torch.tensor(1.0))


def test_each_text_of_a_batch_is_long_or_short_by_itself() -> None:
    config = RopeConfig(rope_type="longrope", short_factor=(1.0, 1.0), long_factor=(2.0, 4.0))
    found = frequencies(config, 4, context=10, totals=torch.tensor([[10], [11]]))
    torch.testing.assert_close(found[0, 0], frequencies(RopeConfig(), 4))
    torch.testing.assert_close(found[1, 0], frequencies(RopeConfig(), 4) / torch.tensor([2.0, 4.0]))


def test_a_part_of_each_head_passes_unturned() -> None:
    x = torch.randn(1, 3, 2, 8, dtype=torch.float64)
    config = PartialRopeConfig(rope_theta=100.0, partial_rotary_factor=0.5)
    turned = rope_at(torch.arange(3)[None], config, head_dim=8, dtype=torch.float64).rotate(x)
    assert torch.equal(turned[..., 4:], x[..., 4:])
    whole = rope_at(torch.arange(3)[None], PLAIN, head_dim=4, dtype=torch.float64).rotate(x[..., :4])
    assert torch.equal(turned[..., :4], whole)
