"""Causal Transformers: embedding → blocks → norm → head, and what the families of them share."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, ClassVar, Self

import torch
from pydantic import Field, PositiveFloat, model_validator
from torch import Tensor, nn

from wenlu.models.family import DecodeState, LanguageModel, ModelConfig, Size
from wenlu.models.layers.attention import Attention, LayerMemory
from wenlu.models.layers.kv_cache import AttentionState, KVCache, Reading, read_tokens
from wenlu.models.layers.mask import Mask
from wenlu.models.layers.mlp import Activation
from wenlu.models.layers.rope import Rope, RopeConfig, rope_at, with_rope_parameters
from wenlu.models.weights.rules import Rename, Rule, Tie


@dataclass(frozen=True)
class View:
    """How a layer sees the tokens.

    Attributes:
        window: how many it sees, itself included; None: all before it.
        rope: how it knows their positions; None: not by turning queries and keys.
    """

    window: int | None = None
    rope: RopeConfig | None = None


class DecoderConfig(ModelConfig):
    """Sizes that every family has, and how its layers see."""

    may_be_null: ClassVar[frozenset[str]] = frozenset()
    """Keys for which Hugging Face configs write null where they mean the default."""

    intermediate_size: Size
    num_hidden_layers: int = Field(ge=1, le=1000)
    num_attention_heads: Size
    max_position_embeddings: Size = 2048
    tie_word_embeddings: bool = False

    @model_validator(mode="before")
    @classmethod
    def _null_means_default(cls, data: Any) -> Any:
        if not isinstance(data, dict):
            return data
        return {key: value for key, value in data.items() if value is not None or key not in cls.may_be_null}

    @model_validator(mode="after")
    def _heads_fit(self) -> Self:
        if self.hidden_size % self.num_attention_heads:
            raise ValueError(
                f"hidden_size {self.hidden_size} is not a multiple of num_attention_heads {self.num_attention_heads}"
            )
        return self

    @abstractmethod
    def key_heads(self) -> tuple[int, int]:
        """Number and size of the heads of keys and values."""

    @abstractmethod
    def views(self) -> tuple[View, ...]:
        """One a layer."""

    def at_width(self, step: int) -> Self:
        """Heads of 8 × `step`; their number stays, the feed-forward's width keeps its ratio."""
        hidden_size = 8 * step * self.num_attention_heads
        ratio = self.intermediate_size / self.hidden_size
        return self.model_copy(
            update={"hidden_size": hidden_size, "intermediate_size": max(8, round(ratio * hidden_size / 8) * 8)}
        )


class GroupedDecoderConfig(DecoderConfig):
    """Grouped queries, a gated feed-forward, RMS normalisation; keys of Hugging Face's `LlamaConfig`."""

    may_be_null = frozenset({"head_dim", "layer_types", "num_key_value_heads", "rope_parameters"})

    num_key_value_heads: Size = Field(default_factory=lambda known: known["num_attention_heads"])
    head_dim: Size = Field(default_factory=lambda known: known["hidden_size"] // known["num_attention_heads"])
    hidden_act: Activation = "silu"
    rms_norm_eps: PositiveFloat = 1e-6

    @model_validator(mode="after")
    def _key_heads_fit(self) -> Self:
        if self.num_attention_heads % self.num_key_value_heads:
            raise ValueError(
                f"num_attention_heads {self.num_attention_heads} is not a multiple of "
                f"num_key_value_heads {self.num_key_value_heads}"
            )
        for view in self.views():
            if view.rope is not None:
                view.rope.check_size(self.head_dim)
        return self

    def key_heads(self) -> tuple[int, int]:
        return self.num_key_value_heads, self.head_dim

    def at_width(self, step: int) -> Self:
        return super().at_width(step).model_copy(update={"head_dim": 8 * step})


class RotaryDecoderConfig(GroupedDecoderConfig):
    """The same rotary positions in all layers; the spellings of transformers 4 are read too."""

    rope_parameters: RopeConfig = RopeConfig()

    @model_validator(mode="before")
    @classmethod
    def _older_spellings(cls, data: Any) -> Any:
        return with_rope_parameters(data) if isinstance(data, dict) else data

    def views(self) -> tuple[View, ...]:
        return (View(rope=self.rope_parameters),) * self.num_hidden_layers


class Block(nn.Module):
    """One decoder layer; both halves read a normalised copy and add to the residual stream."""

    def __init__(self, attention: Attention, mlp: nn.Module, norm: Callable[[], nn.Module]) -> None:
        super().__init__()
        self.input_layernorm = norm()
        self.self_attn = attention
        self.post_attention_layernorm = norm()
        self.mlp = mlp

    def forward(self, x: Tensor, rope: Rope | None, mask: Mask, memory: LayerMemory | None = None) -> Tensor:
        x = x + self.self_attn(self.input_layernorm(x), rope, mask, memory)
        out: Tensor = x + self.mlp(self.post_attention_layernorm(x))
        return out


class Decoder(LanguageModel):
    """A family gives its layers and its last norm; where it differs, also its embedding and head."""

    config: DecoderConfig
    cache_type: type[KVCache] = KVCache

    def __init__(self, config: DecoderConfig) -> None:
        super().__init__()
        self.config = config
        self.views = config.views()
        self.embed_tokens = nn.Embedding(config.vocab_size, config.hidden_size)
        self.layers = nn.ModuleList(self.make_layer(config, index) for index in range(config.num_hidden_layers))
        self.norm = self.make_norm(config)
        self.lm_head = self.make_head(config)
        for module in self.modules():
            if isinstance(module, nn.Linear | nn.Embedding):
                nn.init.normal_(module.weight, std=config.initializer_range)
            if isinstance(module, nn.Linear) and module.bias is not None:
                nn.init.zeros_(module.bias)
        if config.tie_word_embeddings:
            self.lm_head.weight = self.embed_tokens.weight

    @abstractmethod
    def make_layer(self, config: Any, index: int) -> nn.Module:
        """Called with (x, rope, mask, memory), as `Block` is."""

    @abstractmethod
    def make_norm(self, config: Any) -> nn.Module:
        """The norm before the head."""

    def make_head(self, config: Any) -> nn.Linear:
        return nn.Linear(config.hidden_size, config.vocab_size, bias=False)

    def embed(self, input_ids: Tensor, positions: Tensor) -> Tensor:  # noqa: ARG002  (for families with learned ones)
        """(B, T, D), where the residual stream begins."""
        out: Tensor = self.embed_tokens(input_ids)
        return out

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
        name = type(self).__name__
        assert input_ids is not None, "only an encoder–decoder is called without input_ids"
        assert decoder_input_ids is None, f"{name} has no encoder"
        assert token_types is None, f"{name} has no token types"
        assert state is None or isinstance(state, AttentionState), f"{name} needs an AttentionState, not {state!r}"
        return self.read(input_ids, attention_mask=attention_mask, positions=positions, segments=segments, state=state)

    def read(
        self,
        input_ids: Tensor,
        *,
        attention_mask: Tensor | None,
        positions: Tensor | None,
        segments: Tensor | None,
        state: AttentionState | None,
        embedded: Tensor | None = None,
    ) -> Tensor:
        """What `hidden` answers; its residual stream may begin at `embedded` (B, T, D) in place of the embedding."""
        dtype = self.embed_tokens.weight.dtype
        reading = read_tokens(
            input_ids,
            num_layers=len(self.layers),
            attention_mask=attention_mask,
            segments=segments,
            state=state,
            dtype=dtype,
        )
        x = embedded
        if x is None:
            x = self.embed(input_ids, reading.positions if positions is None else positions)
        seen = {view: self._see(view, reading, positions, dtype) for view in dict.fromkeys(self.views)}
        for layer, view, memory in zip(self.layers, self.views, reading.memories, strict=True):
            x = layer(x, *seen[view], memory)
        if state is not None:
            state.close(reading)
        out: Tensor = self.norm(x)
        return out

    def _see(
        self, view: View, reading: Reading, positions: Tensor | None, dtype: torch.dtype
    ) -> tuple[Rope | None, Mask]:
        mask = reading.within(view.window, dtype)
        if view.rope is None:
            return None, mask
        rope = rope_at(
            reading.positions if positions is None else positions,
            view.rope,
            head_dim=self.config.key_heads()[1],
            dtype=dtype,
            context=self.config.max_position_embeddings,
            totals=reading.totals if positions is None else positions.amax(dim=1, keepdim=True) + 1,
        )
        return rope, mask

    def init_state(self, batch_size: int = 1) -> KVCache:
        weight = self.embed_tokens.weight
        num_heads, head_dim = self.config.key_heads()
        return self.cache_type(
            num_layers=self.config.num_hidden_layers,
            batch_size=batch_size,
            num_kv_heads=num_heads,
            head_dim=head_dim,
            dtype=weight.dtype,
            device=weight.device,
        )


RULES: tuple[Rule, ...] = (
    Rename("model.embed_tokens.{rest}", "embed_tokens.{rest}"),
    Rename("model.layers.{rest}", "layers.{rest}"),
    Rename("model.norm.{rest}", "norm.{rest}"),
    Tie("lm_head.weight", "embed_tokens.weight", when="tie_word_embeddings"),
)
"""From the names of Hugging Face's Llama, and of all that were modelled on it, to ours."""

IGNORED = ("model.layers.{layer}.self_attn.rotary_emb.inv_freq",)
"""Older checkpoints of them hold the frequencies too."""
