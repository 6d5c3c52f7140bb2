"""The kernels in C++ against torch's operators in float64."""

import os
import subprocess
import sys
from pathlib import Path

import pytest
import torch
import torch.nn.functional as F
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor

from wenlu.kernels.activations import gelu_tanh, silu_product
from wenlu.kernels.attention import Stretches, attention, reference
from wenlu.kernels.cross_entropy import linear_cross_entropy
from wenlu.kernels.linear import linear, linears
from wenlu.kernels.native import SWITCH, why_not
from wenlu.kernels.norms import layer_norm, rms_norm
from wenlu.kernels.products import add_outer_products, column_sums, outer_products, transposed

amx = pytest.mark.skipif(why_not("amx") is not None, reason=f"no kernels for AMX: {why_not('amx')}")
avx512 = pytest.mark.skipif(why_not("avx512") is not None, reason=f"no kernels for AVX-512: {why_not('avx512')}")
pool = pytest.mark.skipif(why_not("pool") is not None, reason=f"no pool: {why_not('pool')}")

HALF = 2**-8
"""Of a bf16 number: how far rounding moves it at most."""


def drawn(*shape: int, seed: int = 0) -> Tensor:
    return torch.randn(*shape, generator=torch.Generator().manual_seed(seed)).bfloat16()


def apart(ours: Tensor, expected: Tensor) -> float:
    """Norm of the difference over the norm, where that is not about nothing."""
    ours, expected = ours.detach().double(), expected.detach().double()
    return float((ours - expected).norm() / expected.norm().clamp(min=1e-2))


def gradients(function, inputs: list[Tensor], upstream: Tensor) -> tuple[Tensor, list[Tensor]]:  # type: ignore[no-untyped-def]
    free = [each.detach().clone().requires_grad_() for each in inputs]
    value = function(*free)
    return value.detach(), list(torch.autograd.grad(value, free, upstream.to(value.dtype)))


def assert_near(function, exact, inputs: list[Tensor], shape: tuple[int, ...], bound: float = HALF) -> None:  # type: ignore[no-untyped-def]
    """Value and gradients of a kernel are those of the exact function, up to a rounding or two."""
    upstream = drawn(*shape, seed=9)
    ours, our_grads = gradients(function, inputs, upstream)
    expected, exact_grads = gradients(exact, [each.double() for each in inputs], upstream.double())
    assert ours.dtype == torch.bfloat16
    assert apart(ours, expected) < bound
    for grad, exact_grad in zip(our_grads, exact_grads, strict=True):
        assert grad.dtype == torch.bfloat16
        assert apart(grad, exact_grad) < 2 * bound


def bias_of(stretches: Stretches, keys: int) -> Tensor:
    places = torch.arange(keys)
    seen = (places >= stretches.first[..., None]) & (places < stretches.end[..., None])
    return torch.zeros(seen.shape, dtype=torch.float64).masked_fill(~seen, float("-inf"))[:, None]


@amx
@given(
    kv_heads=st.sampled_from([1, 2]),
    group=st.sampled_from([1, 3]),
    queries=st.integers(1, 150),
    size=st.sampled_from([32, 64, 96, 128]),
    document=st.integers(1, 60),
    window=st.sampled_from([1, 17, 1000]),
)
@settings(max_examples=30, deadline=None)
def test_attention_within_stretches(
    kv_heads: int, group: int, queries: int, size: int, document: int, window: int
) -> None:
    places = torch.arange(queries, dtype=torch.int32).expand(2, queries)
    stretches = Stretches((places // document * document).contiguous(), (places + 1).contiguous()).within(window)
    bias = bias_of(stretches, queries)
    heads = [drawn(2, count, queries, size, seed=i) for i, count in enumerate((kv_heads * group, kv_heads, kv_heads))]
    assert_near(
        lambda q, k, v: attention(q, k, v, bias=bias.bfloat16(), is_causal=True, stretches=stretches),
        lambda q, k, v: reference(q, k, v, bias=bias, is_causal=True),
        heads,
        (2, kv_heads * group, queries, size),
    )


@amx
@pytest.mark.parametrize(("queries", "keys"), [(1, 1), (33, 70), (64, 31)])
def test_attention_over_all_keys_and_in_any_layout(queries: int, keys: int) -> None:
    packed = drawn(2, queries, 3, 64).transpose(1, 2)  # (B, N, T, H) as a projection leaves it
    inputs = [packed, drawn(2, 3, keys, 64, seed=1), drawn(2, 3, 64, keys, seed=2).transpose(2, 3)]
    assert_near(
        lambda q, k, v: attention(q, k, v, scale=0.2),
        lambda q, k, v: reference(q, k, v, scale=0.2),
        inputs,
        (2, 3, queries, 64),
    )


@amx
@given(
    count=st.integers(1, 1100),
    rows=st.integers(1, 5).map(lambda n: 32 * n),
    columns=st.sampled_from([32, 96, 1056]),
)
@settings(max_examples=25, deadline=None)
def test_outer_products_are_summed_in_float32(count: int, rows: int, columns: int) -> None:
    a, b = drawn(count, rows), drawn(count, columns, seed=1)
    exact = a.double().T @ b.double()
    assert torch.equal(outer_products(a, b), outer_products(a, b)), "the same again"
    assert apart(outer_products(a, b), exact) < HALF
    sums = torch.ones(rows, columns)
    add_outer_products(sums, a, b)
    assert apart(sums - 1, exact) < 1e-5


@amx
def test_a_linear_map_of_any_leading_shape() -> None:
    inputs = [drawn(3, 5, 64), drawn(96, 64, seed=1), drawn(96, seed=2)]
    assert_near(linear, F.linear, inputs, (3, 5, 96))


@amx
def test_several_linear_maps_of_one_input() -> None:
    def joined(function):  # type: ignore[no-untyped-def]
        return lambda x, first, second, bias: torch.cat(function(x, (first, second), (bias, None)), dim=-1)

    def apart_from_each_other(x, weights, biases):  # type: ignore[no-untyped-def]
        return [F.linear(x, weight, bias) for weight, bias in zip(weights, biases, strict=True)]

    inputs = [drawn(3, 5, 64), drawn(96, 64, seed=1), drawn(32, 64, seed=2), drawn(96, seed=3)]
    assert_near(joined(linears), joined(apart_from_each_other), inputs, (3, 5, 128))


@avx512
@pytest.mark.parametrize("shape", [(1, 1), (300, 64), (7, 150)], ids=str)
def test_sums_of_columns(shape: tuple[int, int]) -> None:
    x = drawn(*shape)
    assert apart(column_sums(x), x.double().sum(0)) < HALF


@amx
@pytest.mark.parametrize("shape", [(32, 32), (64, 96), (40, 33)], ids=str)
def test_a_transpose_is_exact(shape: tuple[int, int]) -> None:
    x = drawn(*shape)
    assert torch.equal(transposed(x), x.T)


@avx512
@given(count=st.integers(1, 100), scale=st.sampled_from([1e-3, 1.0, 30.0, 1e4]))
@settings(max_examples=30, deadline=None)
def test_activations(count: int, scale: float) -> None:
    x, up = drawn(count) * scale, drawn(count, seed=1)
    assert_near(gelu_tanh, lambda x: F.gelu(x, approximate="tanh"), [x], (count,))
    assert_near(silu_product, lambda gate, up: F.silu(gate) * up, [x, up], (count,))


@avx512
@given(rows=st.integers(1, 40), width=st.integers(2, 80), offset=st.sampled_from([0.0, 5.0]))
@settings(max_examples=30, deadline=None)
def test_norms(rows: int, width: int, offset: float) -> None:
    x, weight, bias = drawn(rows, width) + offset, drawn(width, seed=1), drawn(width, seed=2)
    assert_near(
        lambda *given: layer_norm(*given, 1e-5),
        lambda x, weight, bias: F.layer_norm(x, weight.shape, weight, bias, 1e-5),
        [x, weight, bias],
        (rows, width),
        bound=2 * HALF,
    )
    assert_near(
        lambda *given: rms_norm(*given, 1e-6),
        lambda x, weight: F.rms_norm(x, weight.shape, weight, 1e-6),
        [x, weight],
        (rows, width),
    )


@avx512
@given(count=st.integers(1, 40), vocabulary=st.sampled_from([2, 31, 64, 1000]), scale=st.sampled_from([0.1, 3.0]))
@settings(max_examples=25, deadline=None)
def test_cross_entropy(count: int, vocabulary: int, scale: float) -> None:
    hidden, weight = drawn(count, 64) * scale, drawn(vocabulary, 64, seed=1)
    targets = torch.randint(vocabulary, (count,), generator=torch.Generator().manual_seed(2))
    free = [hidden.requires_grad_(), weight.requires_grad_()]
    ours = linear_cross_entropy(hidden, weight, targets, chunk=16 * vocabulary)
    logits = (hidden @ weight.T).detach().double().requires_grad_()  # as rounded as ours are
    expected = F.cross_entropy(logits, targets, reduction="sum")
    assert abs(ours.item() - expected.item()) <= 1e-4 * max(1.0, expected.item())
    (errors,) = torch.autograd.grad(expected, logits)
    hidden_grad, weight_grad = torch.autograd.grad(ours, free)
    if errors.norm() > 1e-3:
        assert apart(hidden_grad, errors @ weight.double()) < 4 * HALF
        assert apart(weight_grad, errors.T @ hidden.double()) < 4 * HALF


@avx512
@pytest.mark.parametrize("value", [float("nan"), float("inf")])
def test_what_is_not_finite_stays_visible(value: float) -> None:
    """Else a broken step would be applied."""
    x = drawn(4, 64)
    x[1, 3] = value
    x.requires_grad_()
    ones = torch.ones(64, dtype=torch.bfloat16)
    for result in (gelu_tanh(x), rms_norm(x, ones, 1e-6), layer_norm(x, ones, ones, 1e-6), silu_product(x, x)):
        assert not result[1].isfinite().all()
        assert result[0].isfinite().all()
    loss = linear_cross_entropy(x, drawn(40, 64, seed=1), torch.arange(4))
    assert not loss.isfinite()
    assert not torch.autograd.grad(loss, x)[0].isfinite().all()


@amx
def test_attention_shows_what_is_not_a_number() -> None:
    q, k, v = (drawn(1, 1, 40, 32, seed=i) for i in range(3))
    q[0, 0, 7, 0] = float("nan")
    q.requires_grad_()
    out = attention(q, k, v, is_causal=True)
    assert out[0, 0, 7].isnan().all()
    assert out[0, 0, 8].isfinite().all()
    assert torch.autograd.grad(out.sum(), q)[0][0, 0, 7].isnan().any()


POOLED = """
import torch
from wenlu.kernels.native import use_pool
assert use_pool() is None
def pages():
    with open("/proc/self/stat") as file:
        return int(file.read().split()[9])  # faults that needed no disk
def step():
    kept = [torch.full((600_000 + 40_000 * i,), float(i)) for i in range(20)]
    del kept[::2]
    return [*kept, *(torch.full((500_000,), float(i)) for i in range(20))]
for tensor in step():
    assert bool((tensor == tensor[0]).all()), "no block is given twice"
del tensor
for _ in range(2):
    step()
before = pages()
for _ in range(5):
    step()
print(pages() - before)
from wenlu.kernels.native import trim_pool
trim_pool()
assert bool((step()[3] == 7).all())
grown = torch.ones(10)
grown.resize_(5_000_000).fill_(2.0)
assert grown.sum() == 1e7
"""


@pool
def test_the_pool_gives_the_same_blocks_again() -> None:
    told = subprocess.run([sys.executable, "-c", POOLED], capture_output=True, text=True, check=True)
    assert int(told.stdout) < 50, "20 MB anew at each step would be thousands of pages"


ANSWER = """
import torch
from wenlu.kernels.native import why_not
from wenlu.kernels.norms import rms_norm
ones = torch.ones(2, 4).bfloat16()
print(why_not("avx512") is not None, why_not("amx"), rms_norm(ones, ones[0], 0.0).sum().item())
"""


@pytest.mark.parametrize(
    ("environment", "reason"),
    [({SWITCH: "torch"}, f"{SWITCH}=torch"), ({"PATH": "/nowhere"}, "no C++ compiler")],
    ids=["by choice", "no compiler"],
)
def test_without_them_torch_answers_and_the_reason_is_told(environment: dict[str, str], reason: str) -> None:
    told = subprocess.run(
        [sys.executable, "-c", ANSWER], env={**os.environ, **environment}, capture_output=True, text=True, check=True
    )
    assert told.stdout.startswith("True")
    if why_not("amx") is None:
        assert reason in told.stdout
    assert told.stdout.strip().endswith("8.0")


@avx512
def test_a_folder_that_others_may_write_is_refused(tmp_path: Path) -> None:
    folder = tmp_path / "wenlu" / "kernels"
    folder.mkdir(parents=True)
    folder.chmod(0o777)
    script = 'from wenlu.kernels.native import why_not; print(why_not("avx512"))'
    environment = {**os.environ, "XDG_CACHE_HOME": str(tmp_path)}
    told = subprocess.run([sys.executable, "-c", script], env=environment, capture_output=True, text=True, check=True)
    assert f"{folder} belongs to others or may be written by them; chmod 700 it" in told.stdout


@avx512
def test_a_compiler_that_fails_is_told(tmp_path: Path) -> None:
    compiler = tmp_path / "g++"
    compiler.write_text('#!/bin/sh\n[ "$1" = --version ] && exit 0\necho "no such flag" >&2\nexit 1\n')
    compiler.chmod(0o755)
    environment = {**os.environ, "PATH": f"{tmp_path}:{os.environ['PATH']}", "XDG_CACHE_HOME": str(tmp_path)}
    script = 'from wenlu.kernels.native import why_not; print(why_not("avx512"))'
    told = subprocess.run([sys.executable, "-c", script], env=environment, capture_output=True, text=True, check=True)
    assert "could not be made" in told.stdout
    assert "no such flag" in told.stdout
    assert "compiling the kernels 'avx512' for this processor, once" in told.stderr
