"""Names of BART's tensors in the files of transformers, and of all that were modelled on it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import torch

from wenlu.errors import WeightsError
from wenlu.models.weights.rules import Entries, Formerly, Rename, Rule, Stored


@dataclass(frozen=True)
class LogitsBias(Rule):
    """`final_logits_bias`, a matrix of one row that a file may leave out where it is zero, as the head's bias."""

    theirs: str = "final_logits_bias"
    ours: str = "lm_head.bias"

    def load(self, entries: Entries, config: Any) -> Entries:
        size = config.target_vocab_size
        rest = {key: item for key, item in entries.items() if key != self.theirs}
        bias = entries.get(self.theirs)
        if bias is None:
            like = next(iter(entries.values())).dtype if entries else torch.float32
            return {**rest, self.ours: Stored((size,), like, lambda: torch.zeros(size, dtype=like))}
        if bias.shape != (1, size):
            raise WeightsError(f"{self.theirs} has shape {list(bias.shape)}, but config.json asks for {[1, size]}")
        return {**rest, self.ours: Stored((size,), bias.dtype, lambda: bias.read()[0].clone())}

    def save(self, entries: Entries, config: Any) -> Entries:  # noqa: ARG002
        rest = {key: item for key, item in entries.items() if key != self.ours}
        bias = entries[self.ours]
        return {**rest, self.theirs: Stored((1, *bias.shape), bias.dtype, lambda: bias.read()[None])}


_LAYER = "model.{stack}.layers.{i}."
_OURS = "{stack}.layers.{i}."

LAYERS: tuple[Rule, ...] = (
    *(Formerly(f"{part}.{{rest}}", f"model.{part}.{{rest}}") for part in ("shared", "encoder", "decoder")),
    *(
        Rename(f"{_LAYER}{theirs}.{name}.{{kind}}", f"{_OURS}{ours}.{new}.{{kind}}")
        for theirs, ours in (("self_attn", "self_attn"), ("encoder_attn", "cross_attn"))
        for name, new in (("q_proj", "q_proj"), ("k_proj", "k_proj"), ("v_proj", "v_proj"), ("out_proj", "o_proj"))
    ),
    Rename(_LAYER + "self_attn_layer_norm.{kind}", _OURS + "attention_norm.{kind}"),
    Rename(_LAYER + "encoder_attn_layer_norm.{kind}", _OURS + "cross_attention_norm.{kind}"),
    Rename(_LAYER + "fc1.{kind}", _OURS + "mlp.up_proj.{kind}"),
    Rename(_LAYER + "fc2.{kind}", _OURS + "mlp.down_proj.{kind}"),
    Rename(_LAYER + "final_layer_norm.{kind}", _OURS + "mlp_norm.{kind}"),
    LogitsBias(),
)

IGNORED = tuple(f"{prefix}{stack}.version" for prefix in ("", "model.") for stack in ("encoder", "decoder"))
"""A number that the first checkpoints hold."""
