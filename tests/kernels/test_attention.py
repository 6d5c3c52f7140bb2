"""Attention in blocks equals torch's, value and gradients."""

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor

from wenlu.kernels import attention as module
from wenlu.kernels.attention import BLOCK, attention, reference

MANY = BLOCK + 37


def heads(q_heads: int, kv_heads: int, queries: int, keys: int, size: int = 6) -> list[Tensor]:
    generator = torch.Generator().manual_seed(queries)
    shapes = [(2, queries, q_heads, size), (2, keys, kv_heads, size), (2, keys, kv_heads, size)]
    return [
        torch.randn(shape, generator=generator, dtype=torch.float64).transpose(1, 2).requires_grad_()
        for shape in shapes
    ]


def assert_equal_with_gradients(qkv: list[Tensor], bias: Tensor | None, is_causal: bool) -> None:
    ours = attention(*qkv, bias=bias, is_causal=is_causal)
    expected = reference(*qkv, bias=bias, is_causal=is_causal)
    torch.testing.assert_close(ours, expected)
    upstream = torch.randn_like(expected)
    for a, b in zip(
        torch.autograd.grad(ours, qkv, upstream), torch.autograd.grad(expected, qkv, upstream), strict=True
    ):
        torch.testing.assert_close(a, b)


@given(
    kv_heads=st.sampled_from([1, 2, 3]),
    group=st.sampled_from([1, 2, 3]),
    queries=st.sampled_from([2, 7, BLOCK - 1, BLOCK, BLOCK + 1, 2 * BLOCK + 5]),
    biased=st.booleans(),
)
@settings(max_examples=25, deadline=None)
def test_causal_attention_equals_torch_for_any_grouping(kv_heads: int, group: int, queries: int, biased: bool) -> None:
    bias = None
    if biased:
        documents = torch.arange(queries) // 5
        allowed = (documents[:, None] == documents).tril()
        bias = torch.zeros(1, 1, queries, queries, dtype=torch.float64).masked_fill(~allowed, float("-inf"))
    assert_equal_with_gradients(heads(kv_heads * group, kv_heads, queries, queries), bias, is_causal=True)


@pytest.mark.parametrize(("queries", "keys"), [(3, 9), (MANY, 5), (MANY, MANY + 4)])
def test_attention_over_other_positions_equals_torch(queries: int, keys: int) -> None:
    assert_equal_with_gradients(heads(4, 2, queries, keys), None, is_causal=False)
    bias = torch.randn(2, 4, queries, keys, dtype=torch.float64)
    assert_equal_with_gradients(heads(4, 2, queries, keys), bias, is_causal=False)


def test_gradients_equal_finite_differences() -> None:
    q, k, v = heads(2, 1, 5, 5, size=2)
    assert torch.autograd.gradcheck(lambda q, k, v: attention(q, k, v, is_causal=True), (q, k, v))


def test_a_call_too_large_to_keep_its_weights_gives_the_same(monkeypatch: pytest.MonkeyPatch) -> None:
    qkv = heads(2, 2, 20, 20)
    expected = attention(*qkv, is_causal=True)
    monkeypatch.setattr(module, "KEPT", 10)
    torch.testing.assert_close(attention(*qkv, is_causal=True), expected)


def test_bf16_is_as_near_to_the_truth_as_plain_operators() -> None:
    q, k, v = (each.detach().bfloat16() for each in heads(4, 4, MANY, MANY, size=16))
    truth = reference(q.double(), k.double(), v.double(), is_causal=True)
    ahead = torch.full((MANY, MANY), float("-inf"), dtype=torch.bfloat16).triu(1)
    plain = torch.softmax(q @ k.transpose(2, 3) / 4 + ahead, dim=-1) @ v
    ours = attention(q.requires_grad_(), k, v, is_causal=True)
    assert (ours - truth).norm() < 1.1 * (plain - truth).norm()


def test_without_gradients_torch_answers_to_the_bit() -> None:
    q, k, v = (each.detach().bfloat16() for each in heads(4, 2, MANY, MANY, size=16))
    assert torch.equal(attention(q, k, v, is_causal=True), reference(q, k, v, is_causal=True))


@pytest.mark.parametrize(("queries", "biased"), [(7, False), (7, True), (MANY, False)])
def test_another_scale_equals_torch(queries: int, biased: bool) -> None:
    q, k, v = heads(4, 2, queries, queries)
    bias = torch.full((queries, queries), float("-inf"), dtype=torch.float64).triu(1)[None, None] if biased else None
    ours = attention(q, k, v, bias=bias, is_causal=True, scale=0.3)
    expected = reference(q, k, v, bias=bias, is_causal=True, scale=0.3)
    torch.testing.assert_close(ours, expected)
    upstream = torch.randn_like(expected)
    for a, b in zip(
        torch.autograd.grad(ours, (q, k, v), upstream), torch.autograd.grad(expected, (q, k, v), upstream), strict=True
    ):
        torch.testing.assert_close(a, b)


@pytest.mark.parametrize("biased", [False, True])
def test_capped_scores_equal_the_formula(biased: bool) -> None:
    q, k, v = heads(4, 2, 9, 9)
    ahead = torch.full((9, 9), float("-inf"), dtype=torch.float64).triu(1)
    scores = q @ k.repeat_interleave(2, dim=1).transpose(2, 3) * 0.8
    expected = torch.softmax(2 * torch.tanh(scores / 2) + ahead, dim=-1) @ v.repeat_interleave(2, dim=1)
    bias = ahead[None, None] if biased else None
    ours = attention(q, k, v, bias=bias, is_causal=True, scale=0.8, softcap=2.0)
    torch.testing.assert_close(ours, expected)
    for a, b in zip(
        torch.autograd.grad(ours.cos().sum(), (q, k, v)),
        torch.autograd.grad(expected.cos().sum(), (q, k, v)),
        strict=True,
    ):
        torch.testing.assert_close(a, b)


def test_a_cap_far_above_the_scores_changes_nothing() -> None:
    q, k, v = heads(4, 2, 9, 9)
    torch.testing.assert_close(attention(q, k, v, is_causal=True, softcap=1e6), attention(q, k, v, is_causal=True))


@pytest.mark.parametrize("shape", [(2, 4), (1, 4), (2, 1), (1, 1), (4,), ()], ids=str)
@pytest.mark.parametrize(
    ("queries", "keys", "is_causal"), [(7, 7, True), (MANY, MANY, True), (3, 9, False), (MANY, 5, False)]
)
def test_a_learned_bias_gets_the_gradient_of_plain_operators(
    shape: tuple[int, ...], queries: int, keys: int, is_causal: bool
) -> None:
    q, k, v = heads(4, 2, queries, keys)
    learned = torch.randn(*shape, queries, keys, dtype=torch.float64, requires_grad=True)
    hidden = torch.full((queries, keys), float("-inf"), dtype=torch.float64).triu(1 if is_causal else keys)
    ours = attention(q, k, v, bias=learned + hidden, is_causal=is_causal, scale=0.7)
    scores = 0.7 * q @ k.repeat_interleave(2, dim=1).transpose(2, 3) + learned + hidden
    expected = torch.softmax(scores, dim=-1) @ v.repeat_interleave(2, dim=1)
    torch.testing.assert_close(ours, expected)
    for a, b in zip(
        torch.autograd.grad(ours.cos().sum(), (q, k, v, learned)),
        torch.autograd.grad(expected.cos().sum(), (q, k, v, learned)),
        strict=True,
    ):
        torch.testing.assert_close(a, b)


def test_a_bias_alone_can_learn() -> None:
    q, k, v = (each.detach() for each in heads(2, 2, 5, 5, size=3))
    learned = torch.randn(1, 2, 5, 5, dtype=torch.float64, requires_grad=True)
    assert torch.autograd.gradcheck(lambda bias: attention(q, k, v, bias=bias), learned)


def test_a_learned_bias_of_a_call_too_large_gets_the_same_gradient(monkeypatch: pytest.MonkeyPatch) -> None:
    q, k, v = heads(2, 2, 20, 20)
    learned = torch.randn(1, 2, 20, 20, dtype=torch.float64, requires_grad=True)
    (expected,) = torch.autograd.grad(attention(q, k, v, bias=learned).cos().sum(), learned)
    monkeypatch.setattr(module, "KEPT", 10)
    (found,) = torch.autograd.grad(attention(q, k, v, bias=learned).cos().sum(), learned)
    torch.testing.assert_close(found, expected)


def test_a_mask_of_keys_alone_counts_for_every_query() -> None:
    q, k, v = heads(4, 2, 6, 9)
    real = torch.tensor([[1] * 9, [0, 0, 1, 1, 1, 1, 1, 1, 0]], dtype=torch.bool)
    bias = torch.zeros(2, 1, 1, 9, dtype=torch.float64).masked_fill(~real[:, None, None], float("-inf"))
    torch.testing.assert_close(
        attention(q, k, v, bias=bias), attention(q, k, v, bias=bias.expand(2, 1, 6, 9).contiguous())
    )
