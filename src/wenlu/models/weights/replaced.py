"""Maps of a model that its family does not know: config.json names them, their tensors pass by the family's rules."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from torch import nn

from wenlu.models.low_rank import stored as low_rank
from wenlu.models.quantised import stored as quantised

KEYS = frozenset({low_rank.KEY, quantised.KEY})
"""Of config.json."""


def described(model: nn.Module) -> dict[str, Any]:
    """What config.json says beyond the family's settings."""
    told = {low_rank.KEY: low_rank.described(model), quantised.KEY: quantised.described(model)}
    return {key: value for key, value in told.items() if value is not None}


def prepare(model: nn.Module, content: Mapping[str, Any], *, where: str) -> None:
    """Put empty maps in place of those that config.json names; the two of a narrow middle may be quantised."""
    for kind in (low_rank, quantised):
        if content.get(kind.KEY) is not None:
            kind.prepare(model, content[kind.KEY], where=where)


def own_keys(model: nn.Module) -> frozenset[str]:
    """The names of tensors that stand in the file as they stand here."""
    return low_rank.own_keys(model) | quantised.own_keys(model)
