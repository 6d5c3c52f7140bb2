"""Weight rules and their inverses."""

from __future__ import annotations

import re
from dataclasses import dataclass

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import Tensor

from wenlu.errors import WeightsError
from wenlu.models.weights.rules import (
    Leading,
    Rename,
    Rule,
    Split,
    Stored,
    Tie,
    Transpose,
    apply_rules,
    invert_rules,
)


@dataclass(frozen=True)
class Sizes:
    heads: int = 4
    kv_heads: int = 2
    tied: bool = True


def stored(**tensors: Tensor) -> dict[str, Stored]:
    return {key.replace("__", "."): Stored.of(tensor) for key, tensor in tensors.items()}


def read(entries: dict[str, Stored]) -> dict[str, list[object]]:
    for key, item in entries.items():
        assert tuple(item.read().shape) == item.shape, key
    return {key: item.read().tolist() for key, item in entries.items()}


def test_rename_carries_its_placeholders_over() -> None:
    rule = Rename("h.{i}.attn.{rest}", "layers.{i}.self_attn.{rest}")
    there = rule.load(stored(h__3__attn__q__weight=torch.ones(1), wte=torch.ones(1)), None)
    assert set(there) == {"layers.3.self_attn.q.weight", "wte"}
    assert set(rule.save(there, None)) == {"h.3.attn.q.weight", "wte"}


def test_a_plain_placeholder_stands_for_one_part_and_dots_are_dots() -> None:
    rule = Rename("h.{i}.w", "layers.{i}.w")
    untouched = stored(h__1__2__w=torch.ones(1), hx1xw=torch.ones(1))
    assert set(rule.load(untouched, None)) == set(untouched)


def test_a_rule_without_an_inverse_is_our_own_mistake() -> None:
    with pytest.raises(AssertionError, match="no inverse"):
        Rename("h.{i}.w", "w")
    with pytest.raises(AssertionError, match="no inverse"):
        Split("h.{i}.w", ("layers.{i}.a", "b"))


def test_two_tensors_that_would_become_one_are_refused() -> None:
    with pytest.raises(WeightsError, match=r"two tensors of the checkpoint would both become norm"):
        Rename("ln.{rest}", "norm.{rest}").load(stored(ln__weight=torch.ones(1), norm__weight=torch.ones(1)), None)


def test_transpose_is_its_own_inverse() -> None:
    rule = Transpose("c.{rest}")
    there = rule.load(stored(c__weight=torch.arange(6).view(2, 3), d=torch.ones(2)), None)
    assert read(there) == {"c.weight": [[0, 3], [1, 4], [2, 5]], "d": [1, 1]}
    assert there["c.weight"].shape == (3, 2)
    assert read(rule.save(there, None)) == {"c.weight": [[0, 1, 2], [3, 4, 5]], "d": [1, 1]}


def test_only_a_matrix_can_be_transposed() -> None:
    with pytest.raises(WeightsError, match=re.escape("c: shape [3] is not a matrix")):
        Transpose("c").load(stored(c=torch.ones(3)), None)


def test_leading_ones_go_and_come_back() -> None:
    rule = Leading("probe", 2)
    there = rule.load(stored(probe=torch.tensor([[[1, 2]]]), d=torch.ones(1, 1)), None)
    assert read(there) == {"probe": [1, 2], "d": [[1]]}
    assert read(rule.save(there, None)) == {"probe": [[[1, 2]]], "d": [[1]]}
    with pytest.raises(WeightsError, match=re.escape("probe: shape [1, 2, 3] does not begin with [1, 1]")):
        rule.load(stored(probe=torch.ones(1, 2, 3)), None)


def test_split_takes_its_sizes_from_the_config() -> None:
    rule = Split("{i}.qkv", ("{i}.q", "{i}.k", "{i}.v"), sizes=lambda c: (c.heads, c.kv_heads, c.kv_heads))
    there = rule.load({"0.qkv": Stored.of(torch.arange(8))}, Sizes())
    assert read(there) == {"0.q": [0, 1, 2, 3], "0.k": [4, 5], "0.v": [6, 7]}
    assert read(rule.save(there, Sizes())) == {"0.qkv": [0, 1, 2, 3, 4, 5, 6, 7]}


@pytest.mark.parametrize(("length", "parts"), [(9, "4 + 2 + 2"), (0, "4 + 2 + 2")])
def test_a_shape_that_does_not_split_is_refused(length: int, parts: str) -> None:
    rule = Split("qkv", ("q", "k", "v"), sizes=lambda c: (c.heads, c.kv_heads, c.kv_heads))
    with pytest.raises(WeightsError, match=re.escape(f"qkv: shape [{length}] does not split into {parts}")):
        rule.load({"qkv": Stored.of(torch.zeros(length))}, Sizes())


def test_an_incomplete_set_cannot_be_joined() -> None:
    with pytest.raises(WeightsError, match=re.escape("qk: cannot be written without ['k']")):
        Split("qk", ("q", "k")).save(stored(q=torch.ones(1)), None)


def test_a_tied_tensor_is_stored_once_and_found_twice() -> None:
    rule = Tie("head", "embed", when="tied")
    both = rule.load(stored(embed=torch.arange(2)), Sizes())
    assert read(both) == {"embed": [0, 1], "head": [0, 1]}
    assert read(rule.save(both, Sizes())) == {"embed": [0, 1]}
    assert read(rule.save(both, Sizes(tied=False))) == read(both)
    assert read(rule.load(stored(embed=torch.arange(2)), Sizes(tied=False))) == {"embed": [0, 1]}


def test_a_tied_tensor_stored_twice_must_be_equal() -> None:
    rule = Tie("head", "embed", when="tied")
    assert set(rule.load(stored(embed=torch.ones(2), head=torch.ones(2)), Sizes())) == {"embed", "head"}
    for other in (torch.zeros(2), torch.ones(3)):
        with pytest.raises(WeightsError, match="head differs from embed, although tied is true"):
            rule.load(stored(embed=torch.ones(2), head=other), Sizes())


GPT2 = (
    Rename("transformer.wte.{rest}", "embed_tokens.{rest}"),
    Rename("transformer.h.{i}.attn.c_attn.{kind}", "layers.{i}.self_attn.qkv.{kind}"),
    Transpose("layers.{i}.self_attn.qkv.weight"),
    Split(
        "layers.{i}.self_attn.qkv.{kind}",
        tuple(f"layers.{{i}}.self_attn.{part}_proj.{{kind}}" for part in "qkv"),
    ),
    Tie("lm_head.weight", "embed_tokens.weight", when="tied"),
)


@given(layers=st.integers(0, 3), width=st.integers(1, 4), tied=st.booleans())
def test_rules_read_backwards_undo_themselves(layers: int, width: int, tied: bool) -> None:
    """The rules that GPT-2 will need: names, a transposed and fused projection, a tied head."""
    rules: tuple[Rule, ...] = GPT2
    checkpoint = {"transformer.wte.weight": Stored.of(torch.randn(3, width))}
    if not tied:
        checkpoint["lm_head.weight"] = Stored.of(torch.randn(3, width))
    for i in range(layers):
        checkpoint[f"transformer.h.{i}.attn.c_attn.weight"] = Stored.of(torch.randn(width, 3 * width))
        checkpoint[f"transformer.h.{i}.attn.c_attn.bias"] = Stored.of(torch.randn(3 * width))
    here = apply_rules(rules, checkpoint, Sizes(tied=tied))
    assert len(here) == 2 + 6 * layers
    for i in range(layers):
        fused = checkpoint[f"transformer.h.{i}.attn.c_attn.weight"].read()
        assert torch.equal(here[f"layers.{i}.self_attn.k_proj.weight"].read(), fused[:, width : 2 * width].T)
    assert read(invert_rules(rules, here, Sizes(tied=tied))) == read(checkpoint)


def test_nothing_is_read_before_it_is_asked_for() -> None:
    def never() -> Tensor:
        raise AssertionError("read too early")

    lazy = Stored((3, 6), torch.float32, never)
    there = apply_rules(GPT2, {"transformer.h.0.attn.c_attn.weight": lazy}, Sizes(tied=False))
    assert {item.shape for item in there.values()} == {(2, 3)}
