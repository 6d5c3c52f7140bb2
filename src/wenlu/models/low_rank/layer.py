"""A linear map through a narrow middle."""

from __future__ import annotations

import copy
from typing import TypeVar

import torch
from torch import Tensor, nn

from wenlu.models.layers.linear import Linear
from wenlu.models.quantised.model import put

Model = TypeVar("Model", bound=nn.Module)


class LowRankLinear(nn.Module):
    """x · Vᵀ · Uᵀ + b: two maps of which the first has `rank` outputs; both learn as any other."""

    def __init__(
        self, in_features: int, out_features: int, rank: int, *, bias: bool = False, dtype: torch.dtype = torch.float32
    ) -> None:
        super().__init__()
        self.in_features = in_features
        self.out_features = out_features
        self.rank = rank
        self.down = Linear(in_features, rank, bias=False, dtype=dtype)
        self.up = Linear(rank, out_features, bias=False, dtype=dtype)
        self.bias = nn.Parameter(torch.zeros(out_features, dtype=dtype)) if bias else None

    @classmethod
    def of(cls, linear: nn.Linear, up: Tensor, down: Tensor) -> LowRankLinear:
        """In the place of `linear`, with its bias and the factors (M, R) and (R, K)."""
        dtype, bias = linear.weight.dtype, linear.bias
        made = cls(linear.in_features, linear.out_features, up.size(1), bias=bias is not None, dtype=dtype)
        made.up.weight = nn.Parameter(up.to(dtype).contiguous())
        made.down.weight = nn.Parameter(down.to(dtype).contiguous())
        if bias is not None:
            made.bias = nn.Parameter(bias.detach().clone())
        return made.train(linear.training)

    def forward(self, x: Tensor) -> Tensor:
        out: Tensor = self.up(self.down(x))
        return out if self.bias is None else out + self.bias

    @property
    def product(self) -> Tensor:
        """(M, K): the one matrix that both are."""
        return self.up.weight.detach().double() @ self.down.weight.detach().double()


def low_rank_layers(model: nn.Module) -> dict[str, LowRankLinear]:
    """The maps with a narrow middle, by name."""
    return {name: module for name, module in model.named_modules() if isinstance(module, LowRankLinear)}


def multiplied_out(model: Model) -> Model:
    """A copy with one plain map in place of the two; none of them quantised."""
    whole = copy.deepcopy(model)
    for name, layer in low_rank_layers(model).items():
        plain = Linear(layer.in_features, layer.out_features, bias=layer.bias is not None, device="meta")
        plain.weight = nn.Parameter(layer.product.to(layer.up.weight.dtype))
        if layer.bias is not None:
            plain.bias = nn.Parameter(layer.bias.detach().clone())
        put(whole, name, plain.train(layer.training))
    return whole
