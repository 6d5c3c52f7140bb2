"""The linear maps that adapters stand beside."""

from __future__ import annotations

from collections.abc import Sequence

from torch import Tensor, nn

from wenlu.config import did_you_mean
from wenlu.errors import ConfigError
from wenlu.models.adapters.config import ALL_LINEAR
from wenlu.models.layers.linear import Linear
from wenlu.models.quantised import QuantisedLinear

Target = nn.Linear | QuantisedLinear

HEADS = frozenset({"lm_head", "classifier", "sentence_head", "pooler", "transform"})
"""First parts of names that are no part of a body, so "all-linear" leaves them out."""


def targets_in(model: nn.Module) -> dict[str, Target]:
    """Every linear map that may be adapted, by name; what computes more than x · Wᵀ + b is none."""
    kinds = (Linear, nn.Linear, QuantisedLinear)
    return {
        name: module
        for name, module in model.named_modules()
        if isinstance(module, nn.Linear | QuantisedLinear) and type(module) in kinds
    }


def chosen(model: nn.Module, targets: str | Sequence[str]) -> tuple[str, ...]:
    """The names of the linear maps that the settings' `targets` mean; raises ConfigError."""
    known = targets_in(model)
    if targets == ALL_LINEAR:
        found = tuple(name for name in known if name.partition(".")[0] not in HEADS)
        if not found:
            raise ConfigError(
                f"adapter.targets: {type(model).__name__} has no linear maps but its head; choose a base "
                "that is a Transformer"
            )
        return found
    found = ()
    for target in targets:
        named = tuple(name for name in known if name == target or name.endswith(f".{target}"))
        if not named:
            last = sorted({name.rpartition(".")[2] for name in known})
            raise ConfigError(
                f"adapter.targets: {target!r} is no linear map of this model; {did_you_mean(target, last)}"
            )
        found += tuple(name for name in named if name not in found)
    return found


def weight_of(target: Target) -> Tensor:
    """(M, K): what it multiplies with."""
    return target.dequantised() if isinstance(target, QuantisedLinear) else target.weight.detach()


def version_of(target: Target) -> tuple[int, ...]:
    """Changes with its weight, unless an optimizer of torch moves it fused."""
    weight = target.codes if isinstance(target, QuantisedLinear) else target.weight
    return id(weight), weight._version
