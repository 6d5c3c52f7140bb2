"""Llama: a decoder with rotary positions, RMS normalisation, grouped queries and a gated feed-forward.

Touvron et al. 2023, arXiv:2302.13971; Llama 2, arXiv:2307.09288; Llama 3, arXiv:2407.21783.
"""

from __future__ import annotations

from typing import Any, Self

from pydantic import Field, PositiveFloat, model_validator
from torch import Tensor, nn

from wenlu.models.family import Ability, DecodeState, Family, LanguageModel, ModelConfig, Size
from wenlu.models.layers.attention import Attention, LayerMemory
from wenlu.models.layers.kv_cache import AttentionState, KVCache, read_tokens
from wenlu.models.layers.mask import Mask
from wenlu.models.layers.mlp import MLP, Activation
from wenlu.models.layers.norm import RMSNorm
from wenlu.models.layers.rope import Rope, RopeConfig, rope_at, with_rope_parameters
from wenlu.models.weights.rules import Rename, Tie


class LlamaConfig(ModelConfig):
    """Keys of Hugging Face's `LlamaConfig`; those of transformers 4 (`rope_theta`, `rope_scaling`) are read too."""

    hidden_size: Size
    intermediate_size: Size
    num_hidden_layers: int = Field(ge=1, le=1000)
    num_attention_heads: Size
    num_key_value_heads: Size = Field(default_factory=lambda known: known["num_attention_heads"])
    head_dim: Size = Field(default_factory=lambda known: known["hidden_size"] // known["num_attention_heads"])
    hidden_act: Activation = "silu"
    max_position_embeddings: Size = 2048
    rms_norm_eps: PositiveFloat = 1e-6
    rope_parameters: RopeConfig = RopeConfig()
    attention_bias: bool = False
    mlp_bias: bool = False
    tie_word_embeddings: bool = False

    @model_validator(mode="before")
    @classmethod
    def _older_spellings(cls, data: Any) -> Any:
        if not isinstance(data, dict):
            return data
        data = {key: value for key, value in data.items() if value is not None or key not in _MAY_BE_NULL}
        return with_rope_parameters(data)

    @model_validator(mode="after")
    def _sizes_fit(self) -> Self:
        if self.hidden_size % self.num_attention_heads:
            raise ValueError(
                f"hidden_size {self.hidden_size} is not a multiple of num_attention_heads {self.num_attention_heads}"
            )
        if self.num_attention_heads % self.num_key_value_heads:
            raise ValueError(
                f"num_attention_heads {self.num_attention_heads} is not a multiple of "
                f"num_key_value_heads {self.num_key_value_heads}"
            )
        if self.head_dim % 2:
            raise ValueError(f"head_dim {self.head_dim} is odd; rotary positions turn pairs")
        return self

    def at_width(self, step: int) -> Self:
        """Heads of 8 × `step`; their number stays, the feed-forward's width keeps its ratio."""
        hidden_size = 8 * step * self.num_attention_heads
        ratio = self.intermediate_size / self.hidden_size
        return self.model_copy(
            update={
                "hidden_size": hidden_size,
                "head_dim": 8 * step,
                "intermediate_size": max(8, round(ratio * hidden_size / 8) * 8),
            }
        )


_MAY_BE_NULL = {"head_dim", "num_key_value_heads", "rope_parameters"}


class Block(nn.Module):
    """One decoder layer; both halves read a normalised copy and add to the residual stream."""

    def __init__(self, config: LlamaConfig) -> None:
        super().__init__()
        self.input_layernorm = RMSNorm(config.hidden_size, config.rms_norm_eps)
        self.self_attn = Attention(
            hidden_size=config.hidden_size,
            num_heads=config.num_attention_heads,
            num_kv_heads=config.num_key_value_heads,
            head_dim=config.head_dim,
            qkv_bias=config.attention_bias,
            o_bias=config.attention_bias,
        )
        self.post_attention_layernorm = RMSNorm(config.hidden_size, config.rms_norm_eps)
        self.mlp = MLP(config.hidden_size, config.intermediate_size, activation=config.hidden_act, bias=config.mlp_bias)

    def forward(self, x: Tensor, rope: Rope, mask: Mask, memory: LayerMemory | None = None) -> Tensor:
        x = x + self.self_attn(self.input_layernorm(x), rope, mask, memory)
        out: Tensor = x + self.mlp(self.post_attention_layernorm(x))
        return out


class Llama(LanguageModel):
    config: LlamaConfig

    def __init__(self, config: LlamaConfig) -> None:
        super().__init__()
        self.config = config
        self.embed_tokens = nn.Embedding(config.vocab_size, config.hidden_size)
        self.layers = nn.ModuleList(Block(config) for _ in range(config.num_hidden_layers))
        self.norm = RMSNorm(config.hidden_size, config.rms_norm_eps)
        self.lm_head = nn.Linear(config.hidden_size, config.vocab_size, bias=False)
        for module in self.modules():
            if isinstance(module, nn.Linear | nn.Embedding):
                nn.init.normal_(module.weight, std=config.initializer_range)
            if isinstance(module, nn.Linear) and module.bias is not None:
                nn.init.zeros_(module.bias)
        if config.tie_word_embeddings:
            self.lm_head.weight = self.embed_tokens.weight

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
        assert input_ids is not None, "only an encoder–decoder is called without input_ids"
        assert decoder_input_ids is None, "Llama has no encoder"
        assert token_types is None, "Llama has no token types"
        assert state is None or isinstance(state, AttentionState), f"Llama needs an AttentionState, not {state!r}"
        x = self.embed_tokens(input_ids)
        reading = read_tokens(
            input_ids,
            num_layers=len(self.layers),
            attention_mask=attention_mask,
            segments=segments,
            state=state,
            dtype=x.dtype,
        )
        rope = rope_at(
            reading.positions if positions is None else positions,
            self.config.rope_parameters,
            head_dim=self.config.head_dim,
            dtype=x.dtype,
        )
        for layer, memory in zip(self.layers, reading.memories, strict=True):
            x = layer(x, rope, reading.mask, memory)
        if state is not None:
            state.close(reading)
        out: Tensor = self.norm(x)
        return out

    def init_state(self, batch_size: int = 1) -> KVCache:
        weight = self.embed_tokens.weight
        return KVCache(
            num_layers=self.config.num_hidden_layers,
            batch_size=batch_size,
            num_kv_heads=self.config.num_key_value_heads,
            head_dim=self.config.head_dim,
            dtype=weight.dtype,
            device=weight.device,
        )


FAMILY = Family(
    name="llama",
    hf_types=("llama",),
    heads={"causal-lm": "LlamaForCausalLM"},
    reference="llama",
    abilities=frozenset({Ability.CAUSAL}),
    config=LlamaConfig,
    model=Llama,
    proportions={
        "hidden_size": 256,
        "intermediate_size": 704,
        "num_hidden_layers": 4,
        "num_attention_heads": 4,
    },
    rules=(
        Rename("model.embed_tokens.{rest}", "embed_tokens.{rest}"),
        Rename("model.layers.{rest}", "layers.{rest}"),
        Rename("model.norm.{rest}", "norm.{rest}"),
        Tie("lm_head.weight", "embed_tokens.weight", when="tie_word_embeddings"),
    ),
    ignored=("model.layers.{layer}.self_attn.rotary_emb.inv_freq",),
    harmless=frozenset({"pretraining_tp", "attention_dropout"}),
)
