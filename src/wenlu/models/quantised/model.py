"""Models some of whose linear maps are quantised."""

from __future__ import annotations

import copy
from collections.abc import Sequence
from typing import TypeVar

import torch
from torch import nn

from wenlu.config import did_you_mean
from wenlu.errors import WeightsError
from wenlu.models.layers.linear import Linear
from wenlu.models.quantised.grid import GridConfig
from wenlu.models.quantised.linear import QuantisedLinear

Model = TypeVar("Model", bound=nn.Module)


def quantisable(model: nn.Module) -> tuple[str, ...]:
    """The linear maps inside the layers, by name: neither embeddings nor heads, nor what shares its weight."""
    return tuple(name for name, module in model.named_modules() if type(module) is Linear)


def quantise_linears(model: nn.Module, config: GridConfig, names: Sequence[str] | None = None) -> tuple[str, ...]:
    """Round the weights of linear maps to the nearest of a grid, in place and one after another; returns their names.

    Args:
        names: of the maps; by default those of `quantisable`.

    Raises:
        WeightsError: a name that is no linear map with a weight of its own, or weights without a grid.
    """
    names = quantisable(model) if names is None else tuple(names)
    for name in names:
        linear = linear_of(model, name)
        try:
            quantised = QuantisedLinear.of(linear, config)
        except WeightsError as error:
            raise WeightsError(f"{name}: {error}") from error
        put(model, name, quantised)
    return names


def dequantised(model: Model) -> Model:
    """A copy with plain linear maps of the same weights, in the type of the model's other numbers."""
    dtype = next(model.parameters()).dtype
    whole = copy.deepcopy(model)
    for name, layer in quantised_layers(model).items():
        plain = Linear(layer.in_features, layer.out_features, bias=layer.bias is not None, device="meta")
        plain.weight = nn.Parameter(layer.dequantised(dtype))
        if layer.bias is not None:
            plain.bias = nn.Parameter(layer.bias.detach().clone())
        put(whole, name, plain.train(layer.training))
    return whole


def quantised_layers(model: nn.Module) -> dict[str, QuantisedLinear]:
    """The quantised maps of a model, by name."""
    return {name: module for name, module in model.named_modules() if isinstance(module, QuantisedLinear)}


def linear_of(model: nn.Module, name: str) -> nn.Linear:
    """The plain linear map of that name; raises WeightsError where there is none, or its weight is another's too."""
    linears = {key: module for key, module in model.named_modules() if type(module) in (Linear, nn.Linear)}
    found = linears.get(name)
    if not isinstance(found, nn.Linear):
        raise WeightsError(f"{name!r} is no linear map of {type(model).__name__}; {did_you_mean(name, linears)}")
    sharing = [
        key
        for key, module in model.named_modules()
        if module is not found and getattr(module, "weight", None) is found.weight
    ]
    if sharing:
        raise WeightsError(f"{name} shares its weight with {sharing[0]}, so it stays as it is; name other maps")
    return found


def put(model: nn.Module, name: str, module: nn.Module) -> None:
    """Set the submodule of that name."""
    parent, _, last = name.rpartition(".")
    setattr(model.get_submodule(parent), last, module)


def weight_bytes(model: nn.Module) -> int:
    """Of all parameters and buffers, each counted once."""
    tensors = {id(tensor): tensor for tensor in model.state_dict(keep_vars=True).values()}
    return sum(tensor.nbytes for tensor in tensors.values() if isinstance(tensor, torch.Tensor))


def count_weights(model: nn.Module) -> int:
    """How many numbers the model computes with, whatever they are stored as; each counted once."""
    plain = {id(weight): weight.numel() for weight in model.parameters()}
    return sum(plain.values()) + sum(each.in_features * each.out_features for each in quantised_layers(model).values())
