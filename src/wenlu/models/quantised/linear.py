"""A frozen linear map whose weights are whole numbers with scales."""

from __future__ import annotations

from collections.abc import Callable
from typing import Self

import torch
from torch import Tensor, nn

from wenlu.kernels.quantised import Codes, pack, quantised_linear, rounded_inputs, values
from wenlu.models.quantised.grid import Grid, GridConfig

PARTS = ("codes", "scales", "zeros")
"""Tensors of the layer that are stored under its own name; a bias is stored as any other."""


class QuantisedLinear(nn.Module):
    """x · Wᵀ + b in the dtype of `x`; W is what the codes stand for, and does not learn.

    Moves and changes of type leave the scales in their own type, which rounding would make worse than the codes.
    """

    codes: Tensor
    scales: Tensor
    zeros: Tensor | None

    def __init__(
        self,
        in_features: int,
        out_features: int,
        config: GridConfig,
        *,
        bias: bool = False,
        dtype: torch.dtype = torch.float32,
    ) -> None:
        super().__init__()
        self.in_features = in_features
        self.out_features = out_features
        self.config = config
        groups = config.groups_of(in_features)
        width = in_features if config.bits == 8 else -(-in_features // 2)
        scales = torch.ones(out_features, groups, dtype=getattr(torch, config.scale_dtype))
        self.register_buffer("codes", torch.zeros(out_features, width, dtype=torch.uint8))
        self.register_buffer("scales", scales)
        no_zeros = None if config.symmetric else torch.zeros(out_features, groups, dtype=torch.uint8)
        self.register_buffer("zeros", no_zeros)
        self.bias = nn.Parameter(torch.zeros(out_features, dtype=dtype), requires_grad=False) if bias else None

    @classmethod
    def of(cls, linear: nn.Linear, config: GridConfig) -> Self:
        """The layer with each weight rounded to the nearest of the grid; WeightsError as `Grid.of`."""
        grid = Grid.of(linear.weight, config)
        return cls.with_codes(linear, grid, grid.codes(linear.weight))

    @classmethod
    def with_codes(cls, linear: nn.Linear, grid: Grid, codes: Tensor) -> Self:
        """The layer with (M, K) codes that were found in another way."""
        bias = linear.bias
        made = cls(linear.in_features, linear.out_features, grid.config, bias=bias is not None)
        made.codes, made.scales, made.zeros = pack(codes, grid.config.bits), grid.scales, grid.zeros
        if bias is not None:
            made.bias = nn.Parameter(bias.detach().clone(), requires_grad=False)
        return made.train(linear.training)

    @property
    def stored(self) -> Codes:
        """The weights as they are kept."""
        group = self.config.group_of(self.in_features)
        return Codes(self.codes, self.scales, self.zeros, self.config.bits, self.in_features, group)

    def forward(self, x: Tensor) -> Tensor:
        if self.config.activation_bits is not None:
            x = rounded_inputs(x, self.config.activation_bits)
        return quantised_linear(x, self.stored, self.bias)

    def dequantised(self, dtype: torch.dtype = torch.float32) -> Tensor:
        """(M, K): the weights that the layer computes with."""
        return values(self.stored, dtype)

    def extra_repr(self) -> str:
        return f"in_features={self.in_features}, out_features={self.out_features}, {self.config!r}"

    def _apply(self, fn: Callable[[Tensor], Tensor], recurse: bool = True) -> Self:
        scales = self.scales
        super()._apply(fn, recurse)  # type: ignore[no-untyped-call]
        if self.scales.dtype != scales.dtype:
            self.scales = scales.to(self.scales.device)
        return self
