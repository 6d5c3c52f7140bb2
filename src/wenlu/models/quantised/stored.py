"""Quantised maps in a model folder: `quantization_config` names them, their tensors stand under our names.

The weight rules of a family are about plain weights; codes have no place in them, and no other program reads ours.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import torch
from torch import nn

from wenlu.config import check
from wenlu.errors import ConfigError, WeightsError
from wenlu.models.quantised.grid import GridConfig
from wenlu.models.quantised.linear import PARTS, QuantisedLinear
from wenlu.models.quantised.model import linear_of, put, quantised_layers

KEY = "quantization_config"
METHOD = "wenlu"


def described(model: nn.Module) -> dict[str, Any] | None:
    """What `config.json` says of the quantised maps; None where there are none."""
    grids: dict[GridConfig, list[str]] = {}
    for name, layer in quantised_layers(model).items():
        grids.setdefault(layer.config, []).append(name)
    if not grids:
        return None
    grids_said = [{**grid.model_dump(mode="json"), "names": names} for grid, names in grids.items()]
    return {"quant_method": METHOD, "grids": grids_said}


def prepare(model: nn.Module, content: object, *, where: str) -> None:
    """Put empty quantised maps in place of those that `config.json` names.

    Raises:
        WeightsError: another program's way of quantising, or settings that are none.
    """
    method = content.get("quant_method") if isinstance(content, Mapping) else content
    if not isinstance(content, Mapping) or method != METHOD:
        raise WeightsError(
            f"{where}: {KEY} is of {method!r}, and Wenlu reads only what it wrote itself ({METHOD!r}); take the model "
            "as it was before it was quantised, or a GGUF file of it"
        )
    grids = content.get("grids")
    if not isinstance(grids, list) or not all(isinstance(row, dict) for row in grids) or len(content) != 2:
        raise WeightsError(f"{where}: {KEY} should hold quant_method and grids, a list of objects")
    for row in grids:
        names = row.get("names")
        if not isinstance(names, list) or not all(isinstance(name, str) for name in names):
            raise WeightsError(f"{where}: {KEY}: names should be a list of texts, found {names!r}")
        try:
            config = check(GridConfig, {key: value for key, value in row.items() if key != "names"}, where=where)
        except ConfigError as error:
            raise WeightsError(f"{KEY}: {error}") from error
        for name in names:
            linear = linear_of(model, name)
            with torch.device("meta"):
                empty = QuantisedLinear(
                    linear.in_features,
                    linear.out_features,
                    config,
                    bias=linear.bias is not None,
                    dtype=linear.weight.dtype,
                )
            put(model, name, empty)


def own_keys(model: nn.Module) -> frozenset[str]:
    """The names of tensors that stand in the file as they stand here."""
    keys = model.state_dict().keys()
    return frozenset(f"{name}.{part}" for name in quantised_layers(model) for part in PARTS if f"{name}.{part}" in keys)
