"""Which weights are treated alike, by their names in the model."""

from __future__ import annotations

import re
from collections.abc import Collection, Mapping
from typing import Any

from torch import Tensor, nn

from wenlu.errors import UsageError

Weights = Mapping[str, nn.Parameter]

HEADS = ("lm_head.weight", "lm_head.decoder.weight", "classifier.weight", "sentence_head.weight")

LOG_VARIANCES = "log_variances."
LOG_VARIANCES_RATE = 0.05
"""Peak rate of the numbers by which the losses of several tasks are weighed. From 0 they have to go as far as the
logarithm of a loss, by steps of about the rate, within one training; weights need to go less far."""

LAYER = re.compile(r"(?P<stack>.*\b)layers\.(?P<number>\d+)\.")


def groups(
    weights: Weights,
    *,
    lr: float,
    weight_decay: float = 0.0,
    layer_decay: float | None = None,
    among: Collection[str] | None = None,
) -> list[dict[str, Any]]:
    """Groups as torch's optimizers take them; vectors and embeddings of tokens do not decay.

    Args:
        layer_decay: what the rate is multiplied by once for each layer between a weight and the top.
        among: the names of all weights of the model, where `weights` are only some of them.
    """
    depths = {} if layer_decay is None else depths_from_top(weights if among is None else among)
    members: dict[tuple[float, float], list[nn.Parameter]] = {}
    for name, weight in weights.items():
        decay = weight_decay if weight.ndim >= 2 and not name.endswith("embed_tokens.weight") else 0.0
        rate = lr if layer_decay is None else lr * layer_decay ** depths[name]
        rate = LOG_VARIANCES_RATE if name.startswith(LOG_VARIANCES) else rate
        members.setdefault((decay, rate), []).append(weight)
    return [{"params": params, "lr": rate, "weight_decay": decay} for (decay, rate), params in members.items()]


def depths_from_top(names: Collection[str]) -> dict[str, int]:
    """How far each weight is from the top of its stack of `layers.N`.

    Heads and what else follows the layers: 0; the top layer: 1; embeddings, tables of positions and what else all
    layers read: one more than the lowest layer of the tallest stack. The two stacks of an encoder–decoder count apart.

    Raises:
        UsageError: no weight is in a `layers.N`.
    """
    heights: dict[str, int] = {}
    for name in names:
        if layer := LAYER.match(name):
            heights[layer["stack"]] = max(heights.get(layer["stack"], 0), int(layer["number"]) + 1)
    if not heights:
        raise UsageError("optimizer.layer_decay: the model has no layers.N to tell apart; choose a Transformer family")
    depths = {}
    for name in names:
        if layer := LAYER.match(name):
            depths[name] = heights[layer["stack"]] - int(layer["number"])
        else:
            depths[name] = max(heights.values()) + 1 if _is_below_layers(name, names) else 0
    return depths


def _is_below_layers(name: str, names: Collection[str]) -> bool:
    """A masked head's `decoder` is the embedding itself where the model has no other."""
    before, head, _ = name.rpartition("lm_head.decoder.weight")
    is_tied = bool(head) and f"{before}embed_tokens.weight" not in names
    return "embed_" in name or "relative_bias" in name or is_tied


def is_hidden_matrix(name: str, weight: Tensor) -> bool:
    """Whether the weight maps hidden states to hidden states: no table to look things up in, no head, no vector."""
    is_table = "embed_" in name or name.endswith("relative_bias.weight")
    return weight.ndim == 2 and not is_table and not name.endswith(HEADS)
