"""Which weights are treated alike, by their names in the model."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from torch import Tensor, nn

Weights = Mapping[str, nn.Parameter]

HEADS = ("lm_head.weight", "lm_head.decoder.weight", "classifier.weight", "sentence_head.weight")


def groups(weights: Weights, *, lr: float, weight_decay: float = 0.0) -> list[dict[str, Any]]:
    """Groups as torch's optimizers take them; vectors and embeddings of tokens do not decay."""
    by_decay: dict[float, list[nn.Parameter]] = {}
    for name, weight in weights.items():
        decay = weight_decay if weight.ndim >= 2 and not name.endswith("embed_tokens.weight") else 0.0
        by_decay.setdefault(decay, []).append(weight)
    return [{"params": params, "lr": lr, "weight_decay": decay} for decay, params in by_decay.items()]


def is_hidden_matrix(name: str, weight: Tensor) -> bool:
    """Whether the weight maps hidden states to hidden states: no table to look things up in, no head, no vector."""
    is_table = "embed_" in name or name.endswith("relative_bias.weight")
    return weight.ndim == 2 and not is_table and not name.endswith(HEADS)
