"""Recurrent language models over torch's own RNN, GRU and LSTM: what the three families share."""

from __future__ import annotations

from abc import abstractmethod
from itertools import pairwise
from typing import Any, Self

import torch
from pydantic import Field, model_validator
from torch import Tensor, nn

from wenlu.models.family import DecodeState, LanguageModel, ModelConfig, Size
from wenlu.models.layers.mask import document_starts, is_right_padded

Memory = tuple[Tensor, ...]
"""(layers, B, D) each: the hidden state, and an LSTM's cell state after it."""


class RecurrentConfig(ModelConfig):
    """Embedding, stacked recurrent layers, head.

    An embedding of another width than the hidden state gets a learned projection before the head; so the head
    may be tied to the embedding at any width. Dropout is on non-recurrent connections only (Zaremba et al.
    2014, arXiv:1409.2329).
    """

    initializer_range: float = Field(default=0.1, ge=0, le=1)
    num_hidden_layers: int = Field(default=1, ge=1, le=1000)
    embedding_size: Size = Field(default_factory=lambda known: known["hidden_size"])
    dropout: float = Field(default=0.0, ge=0, lt=1)
    tie_word_embeddings: bool = False

    @model_validator(mode="before")
    @classmethod
    def _square_by_default(cls, data: Any) -> Any:
        if isinstance(data, dict) and data.get("embedding_size", 0) is None:
            return {key: value for key, value in data.items() if key != "embedding_size"}
        return data

    def at_width(self, step: int) -> Self:
        ratio = self.embedding_size / self.hidden_size
        return self.model_copy(
            update={"hidden_size": 8 * step, "embedding_size": max(8, round(ratio * step) * 8)},
        )


class RecurrentState(DecodeState):
    """The memory of B rows after `lengths` tokens each; gradients do not flow into the past."""

    def __init__(self, memory: Memory, lengths: Tensor) -> None:
        self.memory = memory
        self._lengths = lengths

    @property
    def lengths(self) -> Tensor:
        return self._lengths

    def advance(self, memory: Memory, tokens: Tensor | int) -> None:
        """Take over the memory after `tokens` more, a number or (B,)."""
        self.memory = tuple(part.detach() for part in memory)
        self._lengths = self._lengths + tokens

    def select(self, rows: Tensor) -> Self:
        memory = tuple(part.index_select(1, rows) for part in self.memory)
        return type(self)(memory, self._lengths.index_select(0, rows))

    @classmethod
    def join(cls, states: list[Self]) -> Self:
        memories = zip(*(state.memory for state in states), strict=True)
        return cls(
            tuple(torch.cat(parts, dim=1) for parts in memories),
            torch.cat([state.lengths for state in states]),
        )


class RecurrentLanguageModel(LanguageModel):
    """Embedding → recurrent layers → projection where the widths differ → head."""

    config: RecurrentConfig

    def __init__(self, config: RecurrentConfig) -> None:
        super().__init__()
        self.config = config
        self.embed_tokens = nn.Embedding(config.vocab_size, config.embedding_size)
        self.layers = self.make_layers(config, dropout=config.dropout if config.num_hidden_layers > 1 else 0.0)
        self.proj: nn.Module = nn.Identity()
        if config.embedding_size != config.hidden_size:
            self.proj = nn.Linear(config.hidden_size, config.embedding_size, bias=False)
        self.dropout = nn.Dropout(config.dropout)
        self.lm_head = nn.Linear(config.embedding_size, config.vocab_size, bias=False)
        nn.init.normal_(self.embed_tokens.weight, std=config.initializer_range)
        if config.tie_word_embeddings:
            self.lm_head.weight = self.embed_tokens.weight

    @abstractmethod
    def make_layers(self, config: Any, *, dropout: float) -> nn.RNNBase:
        """The stacked recurrent layers, batch first, from `embedding_size` to `hidden_size`."""

    @abstractmethod
    def run(self, x: Tensor, memory: Memory) -> tuple[Tensor, Memory]:
        """Read (B, T, E) after `memory`: (B, T, D) hidden states and the memory after them."""

    num_memories: int = 1

    def hidden(
        self,
        input_ids: Tensor | None,
        *,
        decoder_input_ids: Tensor | None = None,
        attention_mask: Tensor | None = None,
        positions: Tensor | None = None,  # noqa: ARG002  (order is all that a recurrent model knows of position)
        segments: Tensor | None = None,
        token_types: Tensor | None = None,
        state: DecodeState | None = None,
    ) -> Tensor:
        assert input_ids is not None, "only an encoder–decoder is called without input_ids"
        assert decoder_input_ids is None, "a recurrent language model has no encoder"
        assert token_types is None, "a recurrent language model has no token types"
        assert state is None or isinstance(state, RecurrentState), f"needs a RecurrentState, not {state!r}"
        assert attention_mask is None or attention_mask.ndim == 2, f"{type(self).__name__} has no attention to mask"
        if state is not None:
            if segments is not None:
                raise ValueError("segments are for packed rows without a state; give each document its own row")
            if attention_mask is not None and not is_right_padded(attention_mask):
                raise ValueError("with a state, padding must stand on the right of the new tokens")
        start = self.init_state(input_ids.size(0)) if state is None else state
        x = self.dropout(self.embed_tokens(input_ids))
        x, memory = self._run_rows(x, start.memory, attention_mask, segments)
        if state is not None:
            state.advance(memory, input_ids.size(1) if attention_mask is None else attention_mask.long().sum(1))
        out: Tensor = self.dropout(self.proj(x))
        return out

    def init_state(self, batch_size: int = 1) -> RecurrentState:
        weight = self.embed_tokens.weight
        zeros = weight.new_zeros(self.config.num_hidden_layers, batch_size, self.config.hidden_size)
        return RecurrentState(
            (zeros,) * self.num_memories, torch.zeros(batch_size, dtype=torch.int64, device=weight.device)
        )

    def _run_rows(
        self, x: Tensor, memory: Memory, attention_mask: Tensor | None, segments: Tensor | None
    ) -> tuple[Tensor, Memory]:
        """Run slice by slice between the moments where a row begins a document or changes to or from padding.

        A new document starts from nothing; a padded row keeps the memory that it had.
        """
        if attention_mask is None and segments is None:
            return self.run(x, memory)
        length = x.size(1)
        changes = torch.zeros(length, dtype=torch.bool, device=x.device)
        changes[:1] = True
        starts = None if segments is None else document_starts(segments)
        real = None if attention_mask is None else attention_mask.bool()
        if starts is not None:
            changes |= starts.any(0)
        if real is not None:
            changes |= document_starts(real).any(0)
        cuts = [*changes.nonzero().flatten().tolist(), length]
        outputs = []
        for begin, end in pairwise(cuts):
            if starts is not None and begin > 0:
                memory = tuple(part.masked_fill(starts[:, begin, None], 0) for part in memory)
            out, after = self.run(x[:, begin:end], memory)
            memory = after if real is None else _choose(real[:, begin], after, memory)
            outputs.append(out)
        return outputs[0] if len(outputs) == 1 else torch.cat(outputs, dim=1), memory


def _choose(rows: Tensor, chosen: Memory, others: Memory) -> Memory:
    """`chosen` at the rows that are true, `others` elsewhere."""
    return tuple(torch.where(rows[:, None], a, b) for a, b in zip(chosen, others, strict=True))
