"""Models that read one text and write another: their call, and what the Transformers among them share."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Iterable, Mapping
from typing import Any, ClassVar

import torch
from pydantic import Field, model_validator
from torch import Tensor, nn

from wenlu.models.family import DecodeState, LanguageModel, ModelConfig
from wenlu.models.layers.attention import CrossAttention, LayerMemory
from wenlu.models.layers.kv_cache import KVCache, Reading, read_tokens
from wenlu.models.layers.mask import Mask, bidirectional_mask, count_positions, is_all_real, key_mask, with_bias
from wenlu.models.layers.relative_bias import RelativeBias
from wenlu.models.layers.source import EncoderDecoderState, Source

GENERATION_KEYS = frozenset(
    {
        "bad_words_ids",
        "diversity_penalty",
        "do_sample",
        "early_stopping",
        "encoder_no_repeat_ngram_size",
        "forced_bos_token_id",
        "forced_eos_token_id",
        "length_penalty",
        "max_length",
        "min_length",
        "no_repeat_ngram_size",
        "num_beam_groups",
        "num_beams",
        "num_return_sequences",
        "prefix",
        "remove_invalid_values",
        "repetition_penalty",
        "task_specific_params",
        "temperature",
        "top_k",
        "top_p",
    }
)
"""What older configs say of how to generate, which the model does not compute."""


class EncoderDecoderConfig(ModelConfig):
    """What every encoder–decoder has; sizes without a prefix are the encoder's, and the decoder's by default."""

    may_be_null: ClassVar[frozenset[str]] = frozenset()
    """Keys for which Hugging Face configs write null where they mean the default."""
    fixed: ClassVar[Mapping[str, object]] = {}
    """Keys of older configs that name a choice, and the one that this family is: read, never written."""

    num_hidden_layers: int = Field(ge=1, le=1000)
    num_decoder_layers: int = Field(default_factory=lambda known: known["num_hidden_layers"], ge=1, le=1000)
    decoder_start_token_id: int | None = None
    """The first token of every target; the decoder's answer begins after it."""

    @model_validator(mode="before")
    @classmethod
    def _only_what_says_something(cls, data: Any) -> Any:
        if not isinstance(data, dict):
            return data
        for key, value in cls.fixed.items():
            if data.get(key, value) != value:
                raise ValueError(f"{key}={data[key]!r} is another architecture; here it is always {value!r}")
        for name, field in cls.model_fields.items():
            if field.alias is not None and name in data and data.get(field.alias, data[name]) != data[name]:
                raise ValueError(f"{name}={data[name]!r}, but {field.alias}={data[field.alias]!r}: say one of them")
        given = {key: value for key, value in data.items() if value is not None or key not in cls.may_be_null}
        doubled = [name for name, field in cls.model_fields.items() if field.alias in given]
        return {key: value for key, value in given.items() if key not in cls.fixed and key not in doubled}


class EncoderDecoder(LanguageModel):
    """Reads a source both ways, then predicts each token of a target from the source and the tokens before it.

    The call takes the source as `input_ids`, padded on either side as `attention_mask` says, and the target as
    `decoder_input_ids`, which begin with `decoder_start_token_id`; padding on their right needs no mask, as nothing
    real sees it. With a `state` the first call gives both; later ones give new target tokens alone, and
    `attention_mask` (B, T') then marks padding on their right.
    """

    config: EncoderDecoderConfig

    @abstractmethod
    def read_source(self, input_ids: Tensor, attention_mask: Tensor | None) -> Source:
        """What the decoder will look at of a source (B, S); the mask is None where nothing is padded."""

    @abstractmethod
    def read_target(
        self, input_ids: Tensor, source: Source, *, attention_mask: Tensor | None, memory: DecodeState | None
    ) -> Tensor:
        """Hidden states (B, T', D) of target tokens, which move `memory` forward when all is done."""

    @abstractmethod
    def new_memory(self, batch_size: int) -> DecodeState:
        """The decoder's empty memory of targets."""

    def init_state(self, batch_size: int = 1) -> EncoderDecoderState:
        return EncoderDecoderState(self.new_memory(batch_size))

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
        assert decoder_input_ids is not None, f"{name} predicts decoder_input_ids; give at least the start token"
        assert positions is None, f"{name} counts positions of source and target by itself"
        assert token_types is None, f"{name} has no token types"
        assert state is None or isinstance(state, EncoderDecoderState), f"{name} needs its own state, not {state!r}"
        if segments is not None:
            raise ValueError(f"{name} reads no packed rows; give each pair of texts its own row")
        source = self._source(input_ids, attention_mask, state)
        out = self.read_target(
            decoder_input_ids,
            source,
            attention_mask=attention_mask if input_ids is None else None,
            memory=None if state is None else state.target,
        )
        if state is not None:
            state.source = source.detach()
        return out

    def _source(
        self, input_ids: Tensor | None, attention_mask: Tensor | None, state: EncoderDecoderState | None
    ) -> Source:
        known = None if state is None else state.source
        if input_ids is None:
            if known is None:
                raise ValueError("no source was read yet; give input_ids with the first call")
            return known
        if known is not None:
            raise ValueError("the state holds a source already; give input_ids=None, or begin with a new state")
        if attention_mask is None or is_all_real(attention_mask):
            return self.read_source(input_ids, None)
        if not torch.compiler.is_exporting() and not bool(attention_mask.any(dim=1).all()):
            raise ValueError("a row of the source is nothing but padding; give it at least one token")
        return self.read_source(input_ids, attention_mask)


class DecoderLayer(nn.Module, ABC):
    """One layer of a decoder that looks at a source."""

    cross_attn: CrossAttention

    @abstractmethod
    def forward(
        self, x: Tensor, mask: Mask, memory: LayerMemory | None, source: tuple[Tensor, Tensor], source_mask: Mask
    ) -> Tensor:
        """(B, T, D) from (B, T, D); `source` holds this layer's keys and values of it."""


class Stack(nn.Module):
    """What an encoder and a decoder of the same family have in common: norms and dropout around their layers.

    Args:
        layers: of an encoder called with (x, mask), of a decoder as `DecoderLayer` is.
        embed_norm: before the first layer.
        norm: after the last one.
        relative_bias: learned numbers for the scores of all layers, by the distance of query and key.
        dropout: share of the values dropped in training before the first layer.
        last_dropout: the same after `norm`.
    """

    def __init__(
        self,
        layers: Iterable[nn.Module],
        *,
        embed_norm: nn.Module | None = None,
        norm: nn.Module | None = None,
        relative_bias: RelativeBias | None = None,
        dropout: float = 0.0,
        last_dropout: float = 0.0,
    ) -> None:
        super().__init__()
        self.relative_bias = relative_bias
        self.embed_norm = embed_norm or nn.Identity()
        self.dropout = nn.Dropout(dropout)
        self.layers = nn.ModuleList(layers)
        self.norm = norm or nn.Identity()
        self.last_dropout = nn.Dropout(last_dropout)

    def begin(self, x: Tensor) -> Tensor:
        out: Tensor = self.dropout(self.embed_norm(x))
        return out

    def end(self, x: Tensor) -> Tensor:
        out: Tensor = self.last_dropout(self.norm(x))
        return out

    def biased(self, mask: Mask, places: Tensor, num_keys: int) -> Mask:
        return mask if self.relative_bias is None else with_bias(mask, self.relative_bias(places, num_keys))


class EncoderStack(Stack):
    def forward(self, x: Tensor, attention_mask: Tensor | None) -> Tensor:
        """Hidden states (B, S, D) of a source (B, S, D), padded on either side as `attention_mask` (B, S) says."""
        places = torch.arange(x.size(1), device=x.device)[None]
        mask = self.biased(bidirectional_mask(x, attention_mask=attention_mask, segments=None), places, x.size(1))
        x = self.begin(x)
        for layer in self.layers:
            x = layer(x, mask)
        return self.end(x)


class DecoderStack(Stack):
    layers: nn.ModuleList

    def cross_attentions(self) -> list[CrossAttention]:
        return [layer.cross_attn for layer in self.layers if isinstance(layer, DecoderLayer)]

    def forward(self, x: Tensor, reading: Reading, source: Source) -> Tensor:
        """Hidden states (B, T, D) of a target (B, T, D) that is read as `reading` says."""
        mask = self.biased(reading.mask, reading.places, reading.num_keys)
        source_mask = key_mask(source.real, x.dtype)
        x = self.begin(x)
        for layer, memory, keys_and_values in zip(self.layers, reading.memories, source.memories, strict=True):
            x = layer(x, mask, memory, keys_and_values, source_mask)
        return self.end(x)


class TransformerEncoderDecoder(EncoderDecoder):
    """A family gives its stacks, what they begin with, and its head."""

    embed_tokens: nn.Embedding
    encoder: EncoderStack
    decoder: DecoderStack

    @abstractmethod
    def embed_source(self, input_ids: Tensor, positions: Tensor) -> Tensor:
        """(B, S, D), where the encoder begins."""

    @abstractmethod
    def embed_target(self, input_ids: Tensor, positions: Tensor) -> Tensor:
        """(B, T, D), where the decoder begins."""

    def read_source(self, input_ids: Tensor, attention_mask: Tensor | None) -> Source:
        positions = count_positions(input_ids, attention_mask=attention_mask, segments=None)
        encoded = self.encoder(self.embed_source(input_ids, positions), attention_mask)
        memories = tuple(attention.project(encoded) for attention in self.decoder.cross_attentions())
        return Source(memories, None if attention_mask is None else attention_mask.bool())

    def read_target(
        self, input_ids: Tensor, source: Source, *, attention_mask: Tensor | None, memory: DecodeState | None
    ) -> Tensor:
        assert memory is None or isinstance(memory, KVCache), f"{type(self).__name__} needs a KVCache, not {memory!r}"
        reading = read_tokens(
            input_ids,
            num_layers=len(self.decoder.layers),
            attention_mask=attention_mask,
            segments=None,
            state=memory,
            dtype=self.embed_tokens.weight.dtype,
        )
        out: Tensor = self.decoder(self.embed_target(input_ids, reading.positions), reading, source)
        if memory is not None:
            memory.close(reading)
        return out

    def new_memory(self, batch_size: int) -> KVCache:
        first = self.decoder.cross_attentions()[0]
        weight = self.embed_tokens.weight
        return KVCache(
            num_layers=len(self.decoder.layers),
            batch_size=batch_size,
            num_kv_heads=first.k_proj.out_features // first.head_dim,
            head_dim=first.head_dim,
            dtype=weight.dtype,
            device=weight.device,
        )

    def draw(self) -> None:
        """Draw weights of linear layers and embeddings (normal, `initializer_range`), biases zero."""
        for module in self.modules():
            if isinstance(module, nn.Linear | nn.Embedding):
                nn.init.normal_(module.weight, std=self.config.initializer_range)
            if isinstance(module, nn.Linear) and module.bias is not None:
                nn.init.zeros_(module.bias)
