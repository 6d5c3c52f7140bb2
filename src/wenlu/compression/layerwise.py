"""Change a model's linear maps block by block, each with what it sees behind the blocks that were changed before it."""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from itertools import groupby

import torch
from torch import Tensor, nn

from wenlu.bundle import Bundle
from wenlu.compression.calibration import Calibration, Gram, grams
from wenlu.compression.method import Compressed, LayerError
from wenlu.errors import UsageError, WeightsError
from wenlu.models.low_rank import LowRankLinear
from wenlu.models.quantised import QuantisedLinear, linear_of, put, quantisable
from wenlu.progress import QUIET, Progress

Change = Callable[[nn.Linear, Gram], nn.Module]
_BLOCK = re.compile(r".*?\.\d+(?=\.)")


def layerwise(
    bundle: Bundle, change: Change, calibration: Calibration | None, *, name: str, progress: Progress = QUIET
) -> Compressed:
    """The bundle, whose model is changed in place; one block's sums are held at a time.

    Raises:
        UsageError: no texts to read, or a model without linear maps.
        WeightsError: a map that cannot be changed, by name.
    """
    model = bundle.model
    names = maps_of(bundle)
    rows = needed(calibration, name).rows(bundle)
    progress.start(name, total=len(names), unit="layers")
    errors: list[LayerError] = []
    for block in blocks(names):
        seen = grams(model, block, rows)
        for each in block:
            errors.append(_changed(bundle, each, change, seen.pop(each)))
        progress.update(len(errors), error=f"{errors[-1].error:.2g}")
    mean = sum(each.error for each in errors) / len(errors)
    progress.finish(f"{len(names)} layers, outputs moved by {mean:.2g} of their energy")
    return Compressed(bundle, tuple(errors))


def maps_of(bundle: Bundle) -> tuple[str, ...]:
    """The plain linear maps inside the layers; raises UsageError where there are none."""
    names = quantisable(bundle.model)
    if not names:
        kind = type(bundle.model).__name__
        raise UsageError(
            f"{bundle.path}: this {kind} has no plain linear maps to change: recurrent layers have none, and what is "
            "quantised already stays so; begin with the model as it was trained"
        )
    return names


def blocks(names: Sequence[str]) -> list[list[str]]:
    """Names of one layer together, in the order of the model."""
    return [list(group) for _, group in groupby(names, key=_block)]


def needed(calibration: Calibration | None, name: str) -> Calibration:
    if calibration is None or not calibration.texts:
        raise UsageError(f"{name} reads texts to see what matters; give some with data.train=FILE")
    return calibration


def weight_of(module: nn.Module) -> Tensor:
    """(M, K) weights that a changed map computes with."""
    if isinstance(module, QuantisedLinear):
        return module.dequantised(torch.float64)
    if isinstance(module, nn.Linear):
        return module.weight.detach().double()
    assert isinstance(module, LowRankLinear), f"{module} is no linear map"
    return module.product


def moved(before: Tensor, after: Tensor, seen: Gram) -> float:
    """‖WX − ŴX‖² / ‖WX‖²."""
    whole = seen.energy(before)
    return seen.energy(before.double() - after) / whole if whole else 0.0


def _changed(bundle: Bundle, name: str, change: Change, seen: Gram) -> LayerError:
    linear = linear_of(bundle.model, name)
    before = linear.weight.detach().clone()
    try:
        new = change(linear, seen)
    except WeightsError as error:
        raise WeightsError(f"{bundle.path}: {name}: {error}") from error
    if new is not linear:
        put(bundle.model, name, new)
    return LayerError(name, moved(before, weight_of(new), seen))


def _block(name: str) -> str:
    found = _BLOCK.match(name)
    return name if found is None else found[0]
