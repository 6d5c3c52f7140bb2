"""Maps of low rank in a model folder: `low_rank_config` names them, their factors stand under our names."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import torch
from torch import nn

from wenlu.errors import WeightsError
from wenlu.models.low_rank.layer import LowRankLinear, low_rank_layers
from wenlu.models.quantised.model import linear_of, put

KEY = "low_rank_config"


def described(model: nn.Module) -> dict[str, Any] | None:
    """What `config.json` says of them; None where there are none."""
    ranks = {name: layer.rank for name, layer in low_rank_layers(model).items()}
    return {"ranks": ranks} if ranks else None


def prepare(model: nn.Module, content: object, *, where: str) -> None:
    """Put empty ones in place of the maps that `config.json` names; raises WeightsError for what names none."""
    ranks = content.get("ranks") if isinstance(content, Mapping) and len(content) == 1 else None
    if not isinstance(ranks, dict):
        raise WeightsError(f"{where}: {KEY} should hold ranks, an object from names of maps to numbers")
    for name, rank in ranks.items():
        linear = linear_of(model, name)
        if type(rank) is not int or not 0 < rank <= min(linear.weight.shape):
            raise WeightsError(f"{where}: {KEY}: the rank of {name} is from 1 to {min(linear.weight.shape)}: {rank!r}")
        with torch.device("meta"):
            empty = LowRankLinear(
                linear.in_features,
                linear.out_features,
                rank,
                bias=linear.bias is not None,
                dtype=linear.weight.dtype,
            )
        put(model, name, empty)


def own_keys(model: nn.Module) -> frozenset[str]:
    """The names of tensors that stand in the file as they stand here; a bias is stored as any other."""
    inside = tuple(f"{name}.{part}." for name in low_rank_layers(model) for part in ("up", "down"))
    return frozenset(key for key in model.state_dict() if key.startswith(inside)) if inside else frozenset()
