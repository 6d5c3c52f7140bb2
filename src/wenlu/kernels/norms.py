"""Normalisation with a backward pass of its own: torch's takes several times as long."""

from __future__ import annotations

from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor
from torch.autograd.function import once_differentiable

from wenlu.kernels.chance import drawn
from wenlu.kernels.native import EITHER, Kernels, kernels


def rms_norm(x: Tensor, weight: Tensor, eps: float) -> Tensor:
    """Divide each row of `x` (…, D) by its root mean square and multiply by `weight` (D,).

    Zhang & Sennrich 2019, arXiv:1910.07467. The mean square is taken in fp32 (fp64 for fp64). Without the native
    kernel the normalised row is rounded to the dtype of `x` before the product, as in Hugging Face's Llama. Can be
    differentiated once.
    """
    native = kernels("avx512", x, weight) if x.is_contiguous() else None
    if native is not None:
        return _native(x, weight, None, eps, native, is_centred=False)
    out: Tensor = _RMSNorm.apply(x, weight, eps)  # type: ignore[no-untyped-call]
    return out


def layer_norm(x: Tensor, weight: Tensor, bias: Tensor | None, eps: float) -> Tensor:
    """Take from each row of `x` (…, D) its mean, divide by its deviation, multiply by `weight` (D,), add `bias` (D,).

    Ba et al. 2016, arXiv:1607.06450. Can be differentiated once.
    """
    native = kernels("avx512", x, weight, *([] if bias is None else [bias])) if x.is_contiguous() else None
    if native is not None:
        return _native(x, weight, bias, eps, native, is_centred=True)
    return F.layer_norm(x, weight.shape, weight, bias, eps)


def residual_norm(x: Tensor, y: Tensor, weight: Tensor, bias: Tensor, eps: float, *, dropout: float = 0.0) -> Tensor:
    """`layer_norm` of x + y (…, D), of whose `y` a share is dropped and the rest made larger for it.

    Which numbers are dropped is drawn from torch's generator, but not as torch's own dropout does. Can be
    differentiated once.
    """
    learns = torch.is_grad_enabled() and (x.requires_grad or y.requires_grad or weight.requires_grad)
    reads = not torch.is_grad_enabled() and not dropout
    native = kernels("avx512", x, y, weight, bias, of=EITHER) if (learns or reads) and x.is_contiguous() else None
    if native is None:
        return layer_norm(x + F.dropout(y, dropout), weight, bias, eps)
    out: Tensor = _ResidualNorm.apply(x, y, weight, bias, eps, dropout, native)  # type: ignore[no-untyped-call]
    return out


def reference(x: Tensor, weight: Tensor, eps: float) -> Tensor:
    """`rms_norm` by torch's own operator, up to rounding."""
    return F.rms_norm(x, weight.shape, weight, eps)


def _native(x: Tensor, weight: Tensor, bias: Tensor | None, eps: float, native: Kernels, *, is_centred: bool) -> Tensor:
    out: Tensor = _NativeNorm.apply(x, weight, bias, eps, native, is_centred)  # type: ignore[no-untyped-call]
    return out


class _NativeNorm(torch.autograd.Function):
    @staticmethod
    def forward(
        ctx: Any, x: Tensor, weight: Tensor, bias: Tensor | None, eps: float, native: Kernels, is_centred: bool
    ) -> Tensor:
        width = x.size(-1)
        rows = x.numel() // width
        out, stats = torch.empty_like(x), x.new_empty(rows, 2, dtype=torch.float32)
        native("norm_forward", x, weight, bias, out, stats, rows, width, is_centred, float(eps))
        ctx.save_for_backward(x, weight, stats)
        ctx.has_bias, ctx.native, ctx.is_centred = bias is not None, native, is_centred
        return out

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, grad: Tensor) -> tuple[Tensor | None, ...]:
        x, weight, stats = ctx.saved_tensors
        x_grad, of_weight = torch.empty_like(x), torch.empty_like(weight, dtype=torch.float32)
        of_bias = torch.empty_like(of_weight) if ctx.has_bias else None
        sizes = (len(stats), x.size(-1), ctx.is_centred)
        ctx.native("norm_backward", x, weight, stats, grad.contiguous(), x_grad, of_weight, of_bias, *sizes)
        bias_grad = None if of_bias is None else of_bias.to(weight.dtype)
        return x_grad, of_weight.to(weight.dtype), bias_grad, None, None, None


class _ResidualNorm(torch.autograd.Function):
    @staticmethod
    def forward(
        ctx: Any, x: Tensor, y: Tensor, weight: Tensor, bias: Tensor, eps: float, dropout: float, native: Kernels
    ) -> Tensor:
        width = x.size(-1)
        rows = x.numel() // width
        both, out, stats = torch.empty_like(x), torch.empty_like(x), x.new_empty(rows, 2, dtype=torch.float32)
        chance, kind = drawn(dropout), EITHER[x.dtype]
        tensors = (x, y.contiguous(), weight, bias, both, out, stats)
        native(f"residual_norm_forward_{kind}", *tensors, rows, width, float(eps), *chance)
        ctx.save_for_backward(both, weight, stats)
        ctx.native, ctx.chance, ctx.kind = native, chance, kind
        return out

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, grad: Tensor) -> tuple[Tensor | None, ...]:
        both, weight, stats = ctx.saved_tensors
        x_grad, y_grad = torch.empty_like(both), torch.empty_like(both)
        of_weight = torch.empty_like(weight, dtype=torch.float32)
        of_bias = torch.empty_like(of_weight)
        tensors = (both, weight, stats, grad.contiguous(), x_grad, y_grad, of_weight, of_bias)
        ctx.native(f"residual_norm_backward_{ctx.kind}", *tensors, len(stats), both.size(-1), *ctx.chance)
        return x_grad, y_grad, of_weight.to(weight.dtype), of_bias.to(weight.dtype), None, None, None


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
