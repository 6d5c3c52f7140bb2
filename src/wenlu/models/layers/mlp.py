"""The feed-forward half of a layer."""

from __future__ import annotations

from collections.abc import Callable
from typing import Literal

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from wenlu.kernels.activations import gelu_tanh, silu_product
from wenlu.models.layers.linear import Linear, side_by_side

Activation = Literal["silu", "gelu", "gelu_new", "gelu_pytorch_tanh", "quick_gelu", "relu", "relu2", "swish"]
"""Names of Hugging Face configs; `swish` is `silu`; `relu2` of Primer squares (So et al. 2021, arXiv:2109.08668);
`quick_gelu` is what CLIP took for GELU, and not near enough to be exchanged for it."""


class MLP(nn.Module):
    """Gated linear unit (Shazeer 2020, arXiv:2002.05202); SwiGLU with `silu`.

    Args:
        dropout: share of the inner values dropped in training.
    """

    def __init__(
        self,
        hidden_size: int,
        intermediate_size: int,
        *,
        activation: Activation,
        bias: bool = False,
        dropout: float = 0.0,
    ) -> None:
        super().__init__()
        self.gate_proj = Linear(hidden_size, intermediate_size, bias=bias)
        self.up_proj = Linear(hidden_size, intermediate_size, bias=bias)
        self.down_proj = Linear(intermediate_size, hidden_size, bias=bias)
        self.activation = ACTIVATIONS[activation]
        self.dropout = nn.Dropout(dropout) if dropout else nn.Identity()

    def forward(self, x: Tensor) -> Tensor:
        gate, up = side_by_side(x, self.gate_proj, self.up_proj)
        inner = silu_product(gate, up) if self.activation is F.silu else self.activation(gate) * up
        out: Tensor = self.down_proj(self.dropout(inner))
        return out


class PlainMLP(nn.Module):
    """Two layers with an activation between (Vaswani et al. 2017, arXiv:1706.03762).

    Args:
        dropout: share of the inner values dropped in training.
    """

    def __init__(
        self,
        hidden_size: int,
        intermediate_size: int,
        *,
        activation: Activation,
        bias: bool = True,
        dropout: float = 0.0,
    ) -> None:
        super().__init__()
        self.up_proj = Linear(hidden_size, intermediate_size, bias=bias)
        self.down_proj = Linear(intermediate_size, hidden_size, bias=bias)
        self.activation = ACTIVATIONS[activation]
        self.dropout = nn.Dropout(dropout) if dropout else nn.Identity()

    def forward(self, x: Tensor) -> Tensor:
        out: Tensor = self.down_proj(self.dropout(self.activation(self.up_proj(x))))
        return out


def _relu2(x: Tensor) -> Tensor:
    return F.relu(x).square()


def _quick_gelu(x: Tensor) -> Tensor:
    return x * torch.sigmoid(1.702 * x)


ACTIVATIONS: dict[Activation, Callable[[Tensor], Tensor]] = {
    "silu": F.silu,
    "gelu": F.gelu,
    "gelu_new": gelu_tanh,
    "gelu_pytorch_tanh": gelu_tanh,
    "quick_gelu": _quick_gelu,
    "relu": F.relu,
    "relu2": _relu2,
    "swish": F.silu,
}
