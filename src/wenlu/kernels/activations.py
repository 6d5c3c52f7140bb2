"""Activations in bf16: torch's compute them twice as slowly, and the product of a gate in several passes."""

from __future__ import annotations

from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor
from torch.autograd.function import once_differentiable

from wenlu.kernels.native import Kernels, kernels


def gelu_tanh(x: Tensor) -> Tensor:
    """GELU by its approximation with tanh (Hendrycks & Gimpel 2016, arXiv:1606.08415). Can be differentiated once."""
    native = kernels("avx512", x) if x.is_contiguous() else None
    if native is None:
        return F.gelu(x, approximate="tanh")
    out: Tensor = _Gelu.apply(x, native)  # type: ignore[no-untyped-call]
    return out


def silu_product(gate: Tensor, up: Tensor) -> Tensor:
    """silu(gate) · up, the gated half of SwiGLU (Shazeer 2020, arXiv:2002.05202). Can be differentiated once."""
    native = kernels("avx512", gate, up) if gate.is_contiguous() and up.is_contiguous() else None
    if native is None:
        return F.silu(gate) * up
    out: Tensor = _SiluProduct.apply(gate, up, native)  # type: ignore[no-untyped-call]
    return out


class _Gelu(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, x: Tensor, native: Kernels) -> Tensor:
        ctx.save_for_backward(x)
        ctx.native = native
        out = torch.empty_like(x)
        native("gelu_forward", x, out, x.numel())
        return out

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, grad: Tensor) -> tuple[Tensor, None]:
        (x,) = ctx.saved_tensors
        out = torch.empty_like(x)
        ctx.native("gelu_backward", x, grad.contiguous(), out, x.numel())
        return out, None


class _SiluProduct(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, gate: Tensor, up: Tensor, native: Kernels) -> Tensor:
        ctx.save_for_backward(gate, up)
        ctx.native = native
        out = torch.empty_like(gate)
        native("swiglu_forward", gate, up, out, gate.numel())
        return out

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, grad: Tensor) -> tuple[Tensor, Tensor, None]:
        gate, up = ctx.saved_tensors
        gate_grad, up_grad = torch.empty_like(gate), torch.empty_like(up)
        ctx.native("swiglu_backward", gate, up, grad.contiguous(), gate_grad, up_grad, gate.numel())
        return gate_grad, up_grad, None
