"""The chunked head and loss equal torch's own, value and gradients."""

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor

from wenlu.kernels.cross_entropy import linear_cross_entropy, reference


def inputs(n: int, d: int = 6, v: int = 11, *, dtype: torch.dtype = torch.float64) -> tuple[Tensor, Tensor, Tensor]:
    generator = torch.Generator().manual_seed(n)
    hidden = torch.randn(n, d, generator=generator, dtype=torch.float64).to(dtype)
    weight = torch.randn(v, d, generator=generator, dtype=torch.float64).to(dtype)
    targets = torch.randint(0, v, (n,), generator=generator)
    return hidden.requires_grad_(), weight.requires_grad_(), targets


@given(n=st.integers(0, 40), chunk=st.integers(1, 50), ignored=st.sets(st.integers(0, 39)))
@settings(max_examples=60, deadline=None)
def test_any_chunk_and_any_ignored_targets_equal_the_reference(n: int, chunk: int, ignored: set[int]) -> None:
    hidden, weight, targets = inputs(n)
    targets[[i for i in ignored if i < n]] = -100
    ours = linear_cross_entropy(hidden, weight, targets, chunk=chunk)
    expected = reference(hidden, weight, targets)
    torch.testing.assert_close(ours, expected)
    for ours_grad, expected_grad in zip(
        torch.autograd.grad(ours, (hidden, weight)), torch.autograd.grad(expected, (hidden, weight)), strict=True
    ):
        torch.testing.assert_close(ours_grad, expected_grad)


def test_gradients_equal_finite_differences() -> None:
    hidden, weight, targets = inputs(7)
    targets[2] = -100
    assert torch.autograd.gradcheck(lambda h, w: linear_cross_entropy(h, w, targets, chunk=3), (hidden, weight))


@pytest.mark.parametrize("frozen", [0, 1])
def test_a_frozen_input_gets_no_gradient_and_changes_nothing_else(frozen: int) -> None:
    hidden, weight, targets = inputs(9)
    free = (hidden, weight)[1 - frozen]
    (expected,) = torch.autograd.grad(reference(hidden, weight, targets), free)
    (hidden, weight)[frozen].requires_grad_(False)
    (ours,) = torch.autograd.grad(linear_cross_entropy(hidden, weight, targets, chunk=4), free)
    torch.testing.assert_close(ours, expected)


def test_without_gradients_the_value_is_the_same_and_nothing_is_recorded() -> None:
    hidden, weight, targets = inputs(9)
    with torch.no_grad():
        ours = linear_cross_entropy(hidden, weight, targets, chunk=4)
    assert not ours.requires_grad
    torch.testing.assert_close(ours, reference(hidden, weight, targets).detach())


def test_no_targets_give_a_zero_that_can_be_differentiated() -> None:
    hidden, weight, _ = inputs(4)
    total = linear_cross_entropy(hidden, weight, torch.full((4,), -100))
    total.backward()
    assert total.item() == 0
    assert not hidden.grad.any()
    assert not weight.grad.any()


def test_the_upstream_gradient_scales_both_gradients() -> None:
    hidden, weight, targets = inputs(5)
    once = torch.autograd.grad(linear_cross_entropy(hidden, weight, targets), (hidden, weight))
    thrice = torch.autograd.grad(3 * linear_cross_entropy(hidden, weight, targets), (hidden, weight))
    for a, b in zip(once, thrice, strict=True):
        torch.testing.assert_close(3 * a, b)


def test_bf16_inputs_give_an_fp32_loss_close_to_fp64() -> None:
    hidden, weight, targets = inputs(600, d=32, v=50, dtype=torch.bfloat16)
    ours = linear_cross_entropy(hidden, weight, targets)
    exact = reference(hidden.detach().double(), weight.detach().double(), targets)
    assert ours.dtype == torch.float32
    assert ours.item() == pytest.approx(exact.item(), rel=1e-3)


def test_the_bf16_weight_gradient_is_as_good_as_its_rounding() -> None:
    """Thousands of small terms summed in bf16 would stall; summed in fp32 only the end is rounded."""
    hidden, weight, targets = inputs(4096, d=8, v=12, dtype=torch.bfloat16)
    (ours,) = torch.autograd.grad(linear_cross_entropy(hidden, weight, targets, chunk=32), weight)
    exact_weight = weight.detach().double().requires_grad_()
    (exact,) = torch.autograd.grad(reference(hidden.detach().double(), exact_weight, targets), exact_weight)
    assert (ours.double() - exact).norm() / exact.norm() < 0.01


def test_a_label_is_smoothed_over_the_whole_vocabulary() -> None:
    """Logits 2, 1, 0 of which the first is right; log(e² + e + 1) = 2.407606, and the mean of -log p is 1.407606.

    Over V: 0.9 · 0.407606 + 0.1 · 1.407606. Over the V - 1 wrong ones it would be 0.9 · 0.407606 + 0.1 · 1.907606.
    """
    hidden, weight = torch.ones(1, 1, dtype=torch.float64), torch.tensor([[2.0], [1.0], [0.0]], dtype=torch.float64)
    found = linear_cross_entropy(hidden, weight, torch.tensor([0]), label_smoothing=0.1)
    assert found.item() == pytest.approx(0.507606, abs=1e-6)


@pytest.mark.parametrize("chunk", [1, 30, 10_000])
def test_smoothing_equals_that_of_torch_with_its_gradients(chunk: int) -> None:
    hidden, weight, targets = inputs(9)
    targets[2] = -100
    ours = linear_cross_entropy(hidden, weight, targets, label_smoothing=0.2, chunk=chunk)
    logits = hidden @ weight.T
    expected = torch.nn.functional.cross_entropy(logits, targets, label_smoothing=0.2, reduction="sum")
    torch.testing.assert_close(ours, expected)
    for ours_grad, expected_grad in zip(
        torch.autograd.grad(ours, (hidden, weight)), torch.autograd.grad(expected, (hidden, weight)), strict=True
    ):
        torch.testing.assert_close(ours_grad, expected_grad)
