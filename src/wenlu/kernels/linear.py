"""Linear maps whose weights' gradients are summed in fp32 by a kernel of our own, twice as fast as torch's."""

from __future__ import annotations

from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor
from torch.autograd.function import once_differentiable

from wenlu.kernels.native import kernels
from wenlu.kernels.products import column_sums, outer_products


def linear(x: Tensor, weight: Tensor, bias: Tensor | None = None) -> Tensor:
    """x @ weight.T + bias, (…, M) of (…, K) and (M, K). Can be differentiated once."""
    if torch.is_grad_enabled() and weight.requires_grad and kernels("amx", x, weight) is not None:
        out: Tensor = _Linear.apply(x, weight, bias)  # type: ignore[no-untyped-call]
        return out
    return F.linear(x, weight, bias)


class _Linear(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, x: Tensor, weight: Tensor, bias: Tensor | None) -> Tensor:
        ctx.save_for_backward(x, weight)
        return F.linear(x, weight, bias)

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, grad: Tensor) -> tuple[Tensor | None, Tensor, Tensor | None]:
        x, weight = ctx.saved_tensors
        rows = grad.reshape(-1, grad.size(-1)).contiguous()
        x_grad = (rows @ weight).view(x.shape) if ctx.needs_input_grad[0] else None
        bias_grad = column_sums(rows) if ctx.needs_input_grad[2] else None
        return x_grad, outer_products(rows, x.reshape(-1, x.size(-1))), bias_grad
