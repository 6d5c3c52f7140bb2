"""Products with weights that are stored as whole numbers: the reference, and the seam for faster kernels.

A weight is scale · (code − zero), or scale · code + floor, with numbers of its own for each group of neighbours along
the input. Codes of four bits stand two in a byte, the earlier one in the lower half.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Literal

import torch
import torch.nn.functional as F
from torch import Tensor
from torch.autograd.function import once_differentiable

Bits = Literal[4, 8]


@dataclass(frozen=True)
class Codes:
    """(M, K) weights of a linear map as codes.

    Attributes:
        packed: uint8, (M, K) of eight bits, (M, ⌈K / 2⌉) of four.
        scales: (M, G), one a group; the last group of a row may be shorter.
        zeros: (M, G) uint8; None where every zero stands in the middle of the codes.
        columns: K.
        group: how many neighbours share a scale.
        floors: (M, G), in place of zeros: a weight is scale · code + floor.
    """

    packed: Tensor
    scales: Tensor
    zeros: Tensor | None
    bits: Bits
    columns: int
    group: int
    floors: Tensor | None = None


def pack(codes: Tensor, bits: Bits) -> Tensor:
    """(M, K) codes as the bytes that are stored."""
    codes = codes.to(torch.uint8)
    if bits == 8:
        return codes
    if codes.size(1) % 2:
        codes = F.pad(codes, (0, 1))
    return codes[:, 0::2] | (codes[:, 1::2] << 4)


def unpack(packed: Tensor, bits: Bits, columns: int) -> Tensor:
    """(M, K) uint8 codes of stored bytes."""
    if bits == 8:
        return packed
    return torch.stack((packed & 15, packed >> 4), dim=-1).flatten(1)[:, :columns]


def middle(bits: Bits) -> int:
    """The code of zero where it is not stored."""
    return 1 << (bits - 1)


def values(codes: Codes, dtype: torch.dtype) -> Tensor:
    """(M, K) weights, rounded once to `dtype`."""
    wide = torch.float64 if dtype == torch.float64 else torch.float32
    numbers = unpack(codes.packed, codes.bits, codes.columns).to(wide)
    groups = codes.scales.size(1)
    rest = groups * codes.group - codes.columns
    grouped = (F.pad(numbers, (0, rest)) if rest else numbers).view(len(numbers), groups, codes.group)
    scales = codes.scales.to(wide)[..., None]
    if codes.floors is not None:
        found = grouped * scales + codes.floors.to(wide)[..., None]
    else:
        found = (grouped - (middle(codes.bits) if codes.zeros is None else codes.zeros.to(wide)[..., None])) * scales
    return found.flatten(1)[:, : codes.columns].to(dtype)


def nearest_codes(weight: Tensor, bits: Bits, group: int = 32) -> Codes:
    """(M, K) weights rounded to the nearest of groups as GGUF's Q8_0 and Q4_1 have them; such weights are met exactly.

    Of eight bits zero is in the middle and the largest of a group 127 away; of four the least has code 0, the most 15.
    Scales and floors are float16; raises OverflowError where it does not reach.
    """
    rows, columns = weight.shape
    groups = -(-columns // group)
    filled = F.pad(weight.detach().float(), (0, groups * group - columns), mode="replicate").view(rows, groups, group)
    floors = None
    if bits == 8:
        spans = filled.abs().amax(dim=-1) / 127
    else:
        floors = filled.amin(dim=-1)
        spans = (filled.amax(dim=-1) - floors) / 15
        floors = floors.half()
    scales = spans.half()
    if not bool(scales.isfinite().all()) or (floors is not None and not bool(floors.isfinite().all())):
        raise OverflowError(f"weights of {float(weight.abs().max()):g} have no float16 scale")
    from_zero = filled if floors is None else filled - floors.float()[..., None]
    steps = (from_zero / torch.where(scales == 0, 1.0, scales.float())[..., None]).round()
    steps = steps.clamp(-128, 127) + 128 if bits == 8 else steps.clamp(0, 15)
    packed = pack(steps.flatten(1)[:, :columns], bits)
    return Codes(packed, scales, None, bits, columns, group, floors)


def quantised_linear(x: Tensor, codes: Codes, bias: Tensor | None = None) -> Tensor:
    """x @ weights.T + bias in the dtype of `x`, (…, M) of (…, K). The weights are made anew backwards, not kept."""
    if torch.is_grad_enabled() and (x.requires_grad or (bias is not None and bias.requires_grad)):
        out: Tensor = _QuantisedLinear.apply(x, bias, codes)  # type: ignore[no-untyped-call]
        return out
    return F.linear(x, values(codes, x.dtype), bias)


def rounded_inputs(x: Tensor, bits: Bits) -> Tensor:
    """(…, K) inputs as whole multiples of a scale a row, as a product of whole numbers would see them.

    The gradient passes as if nothing had been rounded (Bengio et al. 2013, arXiv:1308.3432).
    """
    steps = middle(bits) - 1
    scales = (x.detach().abs().amax(dim=-1, keepdim=True) / steps).clamp(min=torch.finfo(x.dtype).tiny)
    rounded = (x.detach() / scales).round().clamp(-steps, steps) * scales
    return x + (rounded - x.detach()) if x.requires_grad else rounded


class _QuantisedLinear(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, x: Tensor, bias: Tensor | None, codes: Codes) -> Tensor:
        ctx.codes = codes
        return F.linear(x, values(codes, x.dtype), bias)

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, grad: Tensor) -> tuple[Tensor | None, Tensor | None, None]:
        x_grad = grad @ values(ctx.codes, grad.dtype) if ctx.needs_input_grad[0] else None
        bias_grad = grad.reshape(-1, grad.size(-1)).sum(0) if ctx.needs_input_grad[1] else None
        return x_grad, bias_grad, None
