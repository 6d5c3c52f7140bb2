"""The kernels that drop numbers at random, against torch's operators in float64."""

import pytest
import torch
import torch.nn.functional as F
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor

from wenlu.kernels.attention import Stretches, attention, reference
from wenlu.kernels.native import why_not
from wenlu.kernels.norms import residual_norm
from wenlu.models import family
from wenlu.models.layers.mask import bidirectional_mask

pytestmark = pytest.mark.skipif(why_not("avx512") is not None, reason=f"no kernels for AVX-512: {why_not('avx512')}")

ROUNDING = {torch.float32: 5e-6, torch.bfloat16: 2**-7}
"""How far, by the norm, a value or a gradient may be from the exact one."""


def drawn(*shape: int, seed: int = 0, dtype: torch.dtype = torch.float32) -> Tensor:
    return torch.randn(*shape, generator=torch.Generator().manual_seed(seed)).to(dtype)


def apart(ours: Tensor, expected: Tensor) -> float:
    ours, expected = ours.detach().double(), expected.detach().double()
    return float((ours - expected).norm() / expected.norm().clamp(min=1.0))


@given(
    queries=st.integers(1, 150),
    size=st.sampled_from([32, 64, 96, 128]),
    document=st.integers(1, 60),
    dtype=st.sampled_from([torch.float32, torch.bfloat16]),
    is_causal=st.booleans(),
)
@settings(max_examples=30, deadline=None)
def test_attention_within_stretches(
    queries: int, size: int, document: int, dtype: torch.dtype, is_causal: bool
) -> None:
    places = torch.arange(queries, dtype=torch.int32).expand(2, queries)
    first = (places // document * document).contiguous()
    end = (places + 1 if is_causal else (first + document).clamp(max=queries)).contiguous()
    seen = (places[:, None] >= first[..., None]) & (places[:, None] < end[..., None])
    bias = torch.zeros(seen.shape, dtype=torch.float64).masked_fill(~seen, float("-inf"))[:, None]
    inputs = [drawn(2, queries, 3, size, seed=i, dtype=dtype).requires_grad_() for i in range(3)]
    exact = [each.detach().double().requires_grad_() for each in inputs]
    ours = attention(*(x.transpose(1, 2) for x in inputs), bias=bias.to(dtype), stretches=Stretches(first, end))
    expected = reference(*(x.transpose(1, 2) for x in exact), bias=bias)
    upstream = drawn(2, 3, queries, size, seed=9, dtype=dtype)
    assert apart(ours, expected) < ROUNDING[dtype]
    grads = torch.autograd.grad(ours, inputs, upstream)
    exact_grads = torch.autograd.grad(expected, exact, upstream.double())
    assert apart(torch.stack(grads), torch.stack(exact_grads)) < 2 * ROUNDING[dtype]


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16, torch.float64])
def test_stretches_alone_say_what_is_seen_without_gradients(dtype: torch.dtype) -> None:
    places = torch.arange(70, dtype=torch.int32).expand(1, 70)
    seen = Stretches((places // 13 * 13).contiguous(), ((places // 13 + 1) * 13).clamp(max=70).contiguous())
    inputs = [drawn(1, 70, 3, 32, seed=i, dtype=dtype).transpose(1, 2) for i in range(3)]
    with torch.inference_mode():
        ours = attention(*inputs, stretches=seen)
        expected = reference(*(x.double() for x in inputs), bias=seen.as_bias(70, torch.float64))
    assert apart(ours, expected) < ROUNDING.get(dtype, 1e-12)


def test_dropped_weights_are_left_out_of_the_value_and_of_its_gradients() -> None:
    q, k = (drawn(2, 3, 64, 64, seed=seed).requires_grad_() for seed in (0, 1))
    v = torch.eye(64).expand(2, 3, 64, 64).contiguous().requires_grad_()  # so that the value is the weights themselves
    value = attention(q, k, v, dropout=0.3)
    is_kept = value != 0
    exact = [each.detach().double().requires_grad_() for each in (q, k, v)]
    weights = torch.softmax(exact[0] @ exact[1].transpose(2, 3) / 8, dim=-1)
    expected = weights * is_kept / 0.7 @ exact[2]
    assert apart(value, expected) < ROUNDING[torch.float32]
    upstream = drawn(2, 3, 64, 64, seed=9)
    grads = torch.autograd.grad(value, (q, k, v), upstream)
    exact_grads = torch.autograd.grad(expected, exact, upstream.double())
    assert all(apart(*pair) < ROUNDING[torch.float32] for pair in zip(grads, exact_grads, strict=True))


def kept(dropout: float, seed: int, rows: int = 500, width: int = 400) -> Tensor:
    """(rows, width): 1 where a number was kept."""
    made = torch.ones(rows, width, requires_grad=True)
    torch.manual_seed(seed)
    value = residual_norm(torch.zeros(rows, width), made, torch.ones(width), torch.zeros(width), 1e-5, dropout=dropout)
    (grad,) = torch.autograd.grad(value, made, drawn(rows, width))
    return (grad != 0).float()


@pytest.mark.parametrize("dropout", [0.1, 0.5])
def test_as_many_are_dropped_as_asked_each_by_itself(dropout: float) -> None:
    found = kept(dropout, seed=1)
    spread = (dropout * (1 - dropout)) ** 0.5
    mean_error = spread / found.numel() ** 0.5
    assert abs(found.mean() - (1 - dropout)) < 5 * mean_error
    assert (found.mean(0) - (1 - dropout)).abs().max() < 5 * spread / len(found) ** 0.5
    assert (found.mean(1) - (1 - dropout)).abs().max() < 5 * spread / found.size(1) ** 0.5
    away = (found - (1 - dropout)) / spread
    others = {"in the next place": away.roll(1, 1), "16 on": away.roll(16, 1), "in the next row": away.roll(1, 0)}
    others["with the next seed"] = (kept(dropout, seed=2) - (1 - dropout)) / spread
    for which, other in others.items():
        assert abs((away * other).mean()) < 5 / found.numel() ** 0.5, which


def test_the_same_seed_drops_the_same_and_a_second_call_others() -> None:
    assert torch.equal(kept(0.1, seed=3), kept(0.1, seed=3))
    torch.manual_seed(3)
    x, ones, zeros = drawn(4, 64).requires_grad_(), torch.ones(64), torch.zeros(64)
    first, second = (residual_norm(x, x, ones, zeros, 1e-5, dropout=0.5) for _ in range(2))
    assert not torch.equal(first, second)


@pytest.mark.parametrize("dtype", ROUNDING, ids=str)
@pytest.mark.parametrize("shape", [(1, 1, 3), (3, 50, 384), (2, 7, 150)], ids=str)
def test_the_norm_of_a_sum_is_the_sum_normalised(shape: tuple[int, ...], dtype: torch.dtype) -> None:
    x, y = (drawn(*shape, seed=seed, dtype=dtype).requires_grad_() for seed in (0, 1))
    weight, bias = (drawn(shape[-1], seed=seed, dtype=dtype).requires_grad_() for seed in (2, 3))
    exact = [each.detach().double().requires_grad_() for each in (x, y, weight, bias)]
    both = exact[0] + exact[1]
    expected = F.layer_norm(both, weight.shape, exact[2], exact[3], 1e-3)
    value = residual_norm(x, y, weight, bias, 1e-3)
    assert apart(value, expected) < ROUNDING[dtype]
    upstream = drawn(*shape, seed=9, dtype=dtype)
    grads = torch.autograd.grad(value, (x, y, weight, bias), upstream)
    exact_grads = torch.autograd.grad(expected, exact, upstream.double())
    assert all(apart(*pair) < 4 * ROUNDING[dtype] for pair in zip(grads, exact_grads, strict=True))


def test_of_a_sum_the_second_part_is_dropped() -> None:
    x, y = (drawn(40, 96, seed=seed).requires_grad_() for seed in (0, 1))
    weight, bias = drawn(96, seed=2), drawn(96, seed=3)
    value = residual_norm(x, y, weight, bias, 1e-5, dropout=0.25)
    upstream = drawn(40, 96, seed=9)
    x_grad, y_grad = torch.autograd.grad(value, (x, y), upstream)
    is_kept = y_grad != 0
    torch.testing.assert_close(y_grad, x_grad * is_kept / 0.75)
    torch.testing.assert_close(value, F.layer_norm(x + y * is_kept / 0.75, (96,), weight, bias, 1e-5))


def test_a_padded_batch_trains_an_encoder_as_exact_arithmetic_does() -> None:
    bert = family("bert")
    sizes = bert.config(
        head="none", vocab_size=50, hidden_size=64, intermediate_size=96, num_hidden_layers=2, num_attention_heads=2,
        hidden_dropout_prob=0.0, attention_probs_dropout_prob=0.0,
    )  # fmt: skip
    torch.manual_seed(0)
    ours = bert.build(sizes, dtype=torch.float32)
    exact = bert.build(sizes, dtype=torch.float64)
    exact.load_state_dict(ours.state_dict())
    ids = torch.randint(50, (3, 40))
    mask = (torch.arange(40) < torch.tensor([[40], [17], [1]])).long()
    assert bidirectional_mask(torch.zeros(3, 40, 64), attention_mask=mask, segments=None).stretches is not None
    for model in (ours, exact):
        hidden = model.train()(ids, attention_mask=mask)
        (hidden.double().sin() * mask[..., None]).sum().backward()
    for (name, weight), (_, expected) in zip(ours.named_parameters(), exact.named_parameters(), strict=True):
        if expected.grad is not None:
            torch.testing.assert_close(weight.grad.double(), expected.grad, rtol=1e-3, atol=1e-4, msg=name)
