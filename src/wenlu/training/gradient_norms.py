"""How large the gradient is in each part of a model: where training becomes unstable shows there first."""

from __future__ import annotations

import math
from collections.abc import Collection, Mapping

import torch
from torch import nn

from wenlu.training.optimizers.groups import HEADS, LAYER

GROUPS = 12
"""At most so many groups of layers a stack; deeper stacks have several layers in each."""


def gradient_norms(weights: Mapping[str, nn.Parameter], count: int) -> dict[str, float]:
    """The norm of the gradient's mean over `count` targets, by part of the model; squared they sum to the whole's."""
    gradients = {name: weight.grad for name, weight in weights.items() if weight.grad is not None}
    norms = torch.stack([norm.double() for norm in torch._foreach_norm([*gradients.values()])]).tolist()
    parts = parts_of(weights)
    squares: dict[str, float] = dict.fromkeys(dict.fromkeys(parts.values()), 0.0)
    for name, norm in zip(gradients, norms, strict=True):
        squares[parts[name]] += norm**2
    return {part: math.sqrt(square) / count for part, square in squares.items()}


def parts_of(names: Collection[str]) -> dict[str, str]:
    """What each weight belongs to: norms, embeddings, head, layers.N (layers.N-M in deep stacks), other."""
    heights: dict[str, int] = {}
    for name in names:
        if layer := LAYER.match(name):
            heights[layer["stack"]] = max(heights.get(layer["stack"], 0), int(layer["number"]) + 1)
    return {name: _part(name, heights) for name in names}


def _part(name: str, heights: Mapping[str, int]) -> str:
    if "norm" in name:
        return "norms"
    if layer := LAYER.match(name):
        height = heights[layer["stack"]]
        size = math.ceil(height / GROUPS)
        first = int(layer["number"]) // size * size
        last = min(first + size, height) - 1
        return f"{layer['stack']}layers.{first}" + (f"-{last}" if last > first else "")
    if "embed_" in name or "relative_bias" in name:
        return "embeddings"
    return "head" if name.startswith("lm_head.") or name.endswith(HEADS) else "other"
