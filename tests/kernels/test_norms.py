"""Our normalisation equals torch's, value and gradients."""

import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from wenlu.kernels.norms import reference, rms_norm


@given(rows=st.integers(1, 5), size=st.integers(1, 9), scale=st.sampled_from([1e-6, 1.0, 1e6]))
@settings(max_examples=40, deadline=None)
def test_values_and_gradients_equal_the_reference(rows: int, size: int, scale: float) -> None:
    generator = torch.Generator().manual_seed(size)
    x = (scale * torch.randn(2, rows, size, generator=generator, dtype=torch.float64)).requires_grad_()
    weight = torch.rand(size, generator=generator, dtype=torch.float64).requires_grad_()
    ours, expected = rms_norm(x, weight, 1e-5), reference(x, weight, 1e-5)
    torch.testing.assert_close(ours, expected)
    for a, b in zip(
        torch.autograd.grad(ours.cos().sum(), (x, weight)),
        torch.autograd.grad(expected.cos().sum(), (x, weight)),
        strict=True,
    ):
        torch.testing.assert_close(a, b)


def test_a_row_of_zeros_stays_zero_and_has_finite_gradients() -> None:
    x = torch.zeros(1, 1, 4, requires_grad=True)
    rms_norm(x, torch.ones(4, requires_grad=True), 1e-6).sum().backward()
    assert x.grad is not None
    assert x.grad.isfinite().all()


def test_bf16_is_off_by_its_rounding_only() -> None:
    x = torch.randn(50, 64, generator=torch.Generator().manual_seed(0)).bfloat16().requires_grad_()
    weight = torch.full((64,), 0.7, dtype=torch.bfloat16)
    ours = rms_norm(x, weight, 1e-6)
    exact_x = x.detach().double().requires_grad_()
    exact = reference(exact_x, weight.double(), 1e-6)
    assert ours.dtype == torch.bfloat16
    assert (ours - exact).norm() / exact.norm() < 2**-8
    upstream = torch.randn(50, 64, generator=torch.Generator().manual_seed(1)).bfloat16()
    (ours_grad,) = torch.autograd.grad(ours, x, upstream)
    (exact_grad,) = torch.autograd.grad(exact, exact_x, upstream.double())
    assert (ours_grad - exact_grad).norm() / exact_grad.norm() < 2**-7
