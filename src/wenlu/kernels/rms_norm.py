"""Root mean square normalisation with a backward pass of its own: torch's runs in fp32 and takes twice as long."""

from __future__ import annotations

from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor
from torch.autograd.function import once_differentiable


def rms_norm(x: Tensor, weight: Tensor, eps: float) -> Tensor:
    """Divide each row of `x` (…, D) by its root mean square and multiply by `weight` (D,).

    Zhang & Sennrich 2019, arXiv:1910.07467. The mean square is taken in fp32 (fp64 for fp64), and the
    normalised row is rounded to the dtype of `x` before the product, as in Hugging Face's Llama. Can be
    differentiated once.
    """
    out: Tensor = _RMSNorm.apply(x, weight, eps)  # type: ignore[no-untyped-call]
    return out


def reference(x: Tensor, weight: Tensor, eps: float) -> Tensor:
    """The same by torch's own operator, up to rounding."""
    return F.rms_norm(x, weight.shape, weight, eps)


class _RMSNorm(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, x: Tensor, weight: Tensor, eps: float) -> Tensor:
        wide = torch.float64 if x.dtype == torch.float64 else torch.float32
        norm = torch.linalg.vector_norm(x, dim=-1, keepdim=True, dtype=wide)
        inverse = torch.rsqrt(norm.square_().div_(x.size(-1)).add_(eps))  # (…, 1)
        unit = (x * inverse).to(x.dtype)
        ctx.save_for_backward(unit, weight, inverse)
        return unit * weight

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, grad: Tensor) -> tuple[Tensor, Tensor, None]:
        unit, weight, inverse = ctx.saved_tensors
        product = (grad * unit).flatten(0, -2)  # (rows, D)
        weight_grad = product.sum(0, dtype=inverse.dtype).to(weight.dtype)
        along = (product @ weight).view(inverse.shape) / unit.size(-1)  # the part of the gradient along the row
        across = torch.addcmul(grad * weight, unit, along, value=-1)
        return (across * inverse).to(unit.dtype), weight_grad, None
