"""The weights that an explanation sees are those that mixed the values."""

from __future__ import annotations

from typing import Any

import pytest
import torch

from wenlu.kernels.attention import Stretches, attention, observed

SHAPES = {"all": (4, 4, 7, 7), "grouped": (6, 2, 5, 5), "cross": (3, 3, 4, 9)}


def given(name: str) -> tuple[torch.Tensor, ...]:
    heads, key_heads, queries, keys = SHAPES[name]
    torch.manual_seed(0)
    sizes = ((heads, queries), (key_heads, keys), (key_heads, keys))
    return tuple(torch.randn(2, count, length, 32) for count, length in sizes)


CASES = [
    (name, settings)
    for name in SHAPES
    for settings in ({}, {"scale": 0.4}, {"softcap": 2.0}, {"is_causal": True})
    if not (name == "cross" and "is_causal" in settings)  # a source has no order
]


@pytest.mark.parametrize(("name", "settings"), CASES, ids=str)
def test_weights_times_values_are_what_came_out(name: str, settings: dict[str, Any]) -> None:
    q, k, v = given(name)
    with observed() as seen, torch.no_grad():
        out = attention(q, k, v, **settings)
    (weights,) = seen
    values = v.repeat_interleave(q.size(1) // v.size(1), dim=1)
    torch.testing.assert_close(weights @ values, out, atol=1e-5, rtol=1e-4)


def test_stretches_are_seen_as_they_are_read() -> None:
    q, k, v = given("all")
    first = torch.tensor([[0, 0, 1, 1, 2, 2, 3]] * 2, dtype=torch.int32)
    with observed() as seen, torch.no_grad():
        out = attention(q, k, v, stretches=Stretches(first, first + 3))
    torch.testing.assert_close(seen[0] @ v, out, atol=1e-5, rtol=1e-4)


def test_nothing_is_kept_of_calls_that_nobody_watches() -> None:
    q, k, v = given("all")
    with observed() as seen:
        pass
    attention(q, k, v)
    assert not seen
