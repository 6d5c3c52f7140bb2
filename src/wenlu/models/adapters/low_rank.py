"""What an adapter adds to one linear map."""

from __future__ import annotations

import math
from typing import Self

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from wenlu.kernels.linear import linear
from wenlu.models.adapters.config import Form
from wenlu.models.adapters.target import Target, version_of, weight_of


class LowRank(nn.Module):
    """x ↦ scale · B A x beside a frozen W; with DoRA each row of W + scale · B A gets a length of its own.

    The numbers are float32 at least, whatever the base has, and are rounded to the type of `x` as they are used.
    """

    lora_A: nn.Parameter  # (R, K)  # noqa: N815  (as in peft's files)
    lora_B: nn.Parameter  # (M, R)  # noqa: N815
    lora_magnitude_vector: nn.Parameter | None  # (M,)

    def __init__(self, form: Form, a: nn.Parameter, b: Tensor, lengths: Tensor | None = None) -> None:
        super().__init__()
        assert form.is_dora == (lengths is not None), "DoRA alone has lengths"
        self.form = form
        self.dropout = nn.Dropout(form.dropout) if form.dropout else nn.Identity()
        self.lora_A, self.lora_B = a, nn.Parameter(b)
        self.lora_magnitude_vector = None if lengths is None else nn.Parameter(lengths)
        self._known: tuple[tuple[int, ...], Tensor] | None = None

    @classmethod
    def drawn(cls, target: Target, form: Form) -> Self:
        """A as Linear draws its own weights (Kaiming), B zero, and the lengths of W: the start is the base, bit for
        bit."""
        weight = weight_of(target)
        dtype = torch.promote_types(weight.dtype, torch.float32)
        a = weight.new_empty(form.rank, target.in_features, dtype=dtype)
        b = weight.new_zeros(target.out_features, form.rank, dtype=dtype)
        nn.init.kaiming_uniform_(a, a=math.sqrt(5))
        return cls(form, nn.Parameter(a), b, lengths_of(weight.to(dtype)) if form.is_dora else None)

    def added(self, target: Target, x: Tensor, out: Tensor) -> Tensor:
        """What W x + b, which `out` is, becomes; (…, M) of (…, K)."""
        inner = linear(self.dropout(x), self.lora_A.to(x.dtype)).flatten(0, -2)  # (N, R)
        rows, b = out.flatten(0, -2), self.lora_B.to(x.dtype)
        if self.lora_magnitude_vector is None:
            return torch.addmm(rows, inner, b.T, alpha=self.form.scale).view_as(out)
        ratio = (self.lora_magnitude_vector / self._lengths(target)).to(x.dtype)  # (M,)
        plain = rows if target.bias is None else rows - target.bias
        # A sum, so that a ratio of 1 changes no bit.
        return (rows + (ratio - 1) * plain + ratio * (F.linear(inner, b) * self.form.scale)).view_as(out)

    def delta(self) -> Tensor:
        """(M, K): scale · B A."""
        return self.form.scale * (self.lora_B @ self.lora_A)

    @torch.no_grad()
    def merged(self, weight: Tensor) -> Tensor:
        """The one weight that does what the map and its adapter do, in the type of `weight`."""
        whole = weight.to(self.lora_A.dtype) + self.delta()
        if self.lora_magnitude_vector is not None:
            whole = whole * (self.lora_magnitude_vector / lengths_of(whole))[:, None]
        return whole.to(weight.dtype)

    def train(self, mode: bool = True) -> Self:
        self._known = None
        return super().train(mode)

    def _lengths(self, target: Target) -> Tensor:
        """(M,) of the rows of W + scale · B A; no gradient goes through them (section 4.3 of the paper).

        They cost a product as large as the weight, so answers remember them. What learns computes them each time:
        torch's fused optimizers move weights without telling their version.
        """
        if torch.is_grad_enabled():
            self._known = None
            return self._lengths_now(target)
        version = (self.lora_A._version, self.lora_B._version, *version_of(target))
        if self._known is None or self._known[0] != version:
            self._known = version, self._lengths_now(target)
        return self._known[1]

    @torch.no_grad()
    def _lengths_now(self, target: Target) -> Tensor:
        return lengths_of(weight_of(target).to(self.lora_A.dtype) + self.delta())

    def extra_repr(self) -> str:
        return repr(self.form)


def lengths_of(weight: Tensor) -> Tensor:
    """(M,) of the rows of (M, K)."""
    found: Tensor = torch.linalg.vector_norm(weight.detach(), dim=1)
    return found
