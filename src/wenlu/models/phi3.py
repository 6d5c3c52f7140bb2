"""Phi-3: a Llama whose heads may be turned in part, over long texts by LongRoPE; fused projections in its files.

Abdin et al. 2024, arXiv:2404.14219.
"""

from __future__ import annotations

from functools import partial
from typing import Any

import torch
from pydantic import PositiveFloat, model_validator
from torch import Tensor

from wenlu.models.family import Ability, DecodeState, Family, Size
from wenlu.models.layers.attention import Attention
from wenlu.models.layers.decoder import IGNORED, RULES, Block, Decoder, RotaryDecoderConfig, View
from wenlu.models.layers.mlp import MLP
from wenlu.models.layers.norm import RMSNorm
from wenlu.models.layers.rereading import RereadingCache, padded
from wenlu.models.layers.rope import PartialRopeConfig, with_rope_parameters
from wenlu.models.weights.rules import Split


class Phi3Config(RotaryDecoderConfig):
    """Keys of Hugging Face's `Phi3Config`; `su` and `yarn` are older names of `longrope` there."""

    max_position_embeddings: Size = 4096
    original_max_position_embeddings: Size = 4096
    """The length of the first training; where `longrope` begins."""
    rms_norm_eps: PositiveFloat = 1e-5
    rope_parameters: PartialRopeConfig = PartialRopeConfig()
    sliding_window: Size | None = None

    @model_validator(mode="before")
    @classmethod
    def _longrope_begins_at_the_original_length(cls, data: Any) -> Any:
        data = with_rope_parameters(data) if isinstance(data, dict) else data
        rope = data.get("rope_parameters") if isinstance(data, dict) else None
        if not isinstance(rope, dict) or rope.get("rope_type") not in ("su", "yarn", "longrope"):
            return data
        length = data.get("original_max_position_embeddings", 4096)
        rope = rope | {"rope_type": "longrope", "original_max_position_embeddings": length}
        return {**data, "rope_parameters": rope}

    def views(self) -> tuple[View, ...]:
        return (View(self.sliding_window, self.rope_parameters),) * self.num_hidden_layers


class Phi3(Decoder):
    config: Phi3Config

    def __init__(self, config: Phi3Config) -> None:
        super().__init__(config)
        if config.rope_parameters.rope_type == "longrope":
            self.cache_type = RereadingCache

    def make_layer(self, config: Phi3Config, index: int) -> Block:  # noqa: ARG002
        return Block(
            Attention(
                hidden_size=config.hidden_size,
                num_heads=config.num_attention_heads,
                num_kv_heads=config.num_key_value_heads,
                head_dim=config.head_dim,
            ),
            MLP(config.hidden_size, config.intermediate_size, activation=config.hidden_act),
            norm=partial(RMSNorm, config.hidden_size, config.rms_norm_eps),
        )

    def make_norm(self, config: Phi3Config) -> RMSNorm:
        return RMSNorm(config.hidden_size, config.rms_norm_eps)

    def hidden(
        self,
        input_ids: Tensor | None,
        *,
        decoder_input_ids: Tensor | None = None,
        attention_mask: Tensor | None = None,
        positions: Tensor | None = None,
        segments: Tensor | None = None,
        token_types: Tensor | None = None,
        state: DecodeState | None = None,
    ) -> Tensor:
        """As in every decoder, but a text that outgrows the length of the first training is read again.

        From there on all of it is turned otherwise; Hugging Face's generation does the same.
        """
        texts: tuple[Tensor, ...] = ()
        if isinstance(state, RereadingCache):
            assert input_ids is not None, "Phi-3 is no encoder–decoder"
            texts = state.grown(input_ids, attention_mask)
            if self._outgrown(state.texts, texts):
                assert positions is None, "a text is read again from its beginning"
                return self._read_again(texts, state, input_ids.size(1), segments)
        x = super().hidden(
            input_ids,
            decoder_input_ids=decoder_input_ids,
            attention_mask=attention_mask,
            positions=positions,
            segments=segments,
            token_types=token_types,
            state=state,
        )
        if isinstance(state, RereadingCache):
            state.remember(texts)
        return x

    def _outgrown(self, before: tuple[Tensor, ...], after: tuple[Tensor, ...]) -> bool:
        limit = self.config.original_max_position_embeddings
        return any(0 < len(old) <= limit < len(new) for old, new in zip(before, after, strict=True))

    def _read_again(
        self, texts: tuple[Tensor, ...], state: RereadingCache, length: int, segments: Tensor | None
    ) -> Tensor:
        """Hidden states (B, `length`, D) of the last call's tokens after a second reading of everything."""
        ids, mask = padded(texts)
        fresh = self.init_state(len(texts))
        assert isinstance(fresh, RereadingCache), "as `state` is"
        x = super().hidden(ids, attention_mask=mask, segments=segments, state=fresh)
        places = state.lengths[:, None] + torch.arange(length, device=x.device)  # beyond the end where padded
        fresh.remember(texts)
        state.replace(fresh)
        return x.gather(1, places.clamp(max=x.size(1) - 1)[..., None].expand(-1, -1, x.size(2)))


def _heads(config: Phi3Config) -> tuple[int, int, int]:
    keys = config.num_key_value_heads * config.head_dim
    return config.num_attention_heads * config.head_dim, keys, keys


_LAYER = "model.layers.{layer}."

FAMILY = Family(
    name="phi3",
    hf_types=("phi3",),
    heads={"causal-lm": "Phi3ForCausalLM"},
    reference="phi3",
    abilities=frozenset({Ability.CAUSAL}),
    config=Phi3Config,
    model=Phi3,
    proportions={
        "hidden_size": 256,
        "intermediate_size": 704,
        "num_hidden_layers": 4,
        "num_attention_heads": 4,
    },
    rules=(
        Split(
            _LAYER + "self_attn.qkv_proj.weight",
            tuple(f"{_LAYER}self_attn.{name}_proj.weight" for name in ("q", "k", "v")),
            sizes=_heads,
        ),
        Split(
            _LAYER + "mlp.gate_up_proj.weight",
            (_LAYER + "mlp.gate_proj.weight", _LAYER + "mlp.up_proj.weight"),
        ),
        *RULES,
    ),
    ignored=IGNORED,
    harmless=frozenset({"attention_bias", "attention_dropout", "embd_pdrop", "resid_pdrop"}),
)
