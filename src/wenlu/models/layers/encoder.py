"""What all bidirectional encoders share: their settings, their call and the heads that they end in."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Literal, Self

import torch
from pydantic import Field, model_validator
from torch import Tensor, nn

from wenlu.kernels.attention import reads_stretches
from wenlu.models.family import DecodeState, LanguageModel, Size
from wenlu.models.layers.labels import LabelledConfig
from wenlu.models.layers.mask import count_positions
from wenlu.models.layers.mlp import ACTIVATIONS, Activation

EncoderHead = Literal["masked-lm", "none", "sequence-classification", "token-classification", "question-answering"]
"""What every encoder may end in; `none` is the bare model, whose call returns hidden states."""
CLASSIFYING = ("sequence-classification", "token-classification", "question-answering")
PACKED = 2048
"""Tokens of whole texts in a row without padding: what a layer makes of so many stays near the processor."""


class EncoderConfig(LabelledConfig):
    """Settings of every encoder, named as in Hugging Face's `BertConfig`."""

    head: str = "masked-lm"
    intermediate_size: Size
    num_hidden_layers: int = Field(ge=1, le=1000)
    num_attention_heads: Size
    hidden_act: Activation = "gelu"
    max_position_embeddings: Size = 512
    tie_word_embeddings: bool = True

    @property
    def head_dropout(self) -> float:
        """Share of values dropped before the classifier in training."""
        raise NotImplementedError

    @model_validator(mode="after")
    def _heads_fit(self) -> Self:
        if self.hidden_size % self.num_attention_heads:
            raise ValueError(
                f"hidden_size {self.hidden_size} is not a multiple of num_attention_heads {self.num_attention_heads}"
            )
        if self.head == "question-answering" and self.num_labels != 2:
            raise ValueError(f"question answering marks a start and an end, so id2label has 2, not {self.num_labels}")
        return self

    def at_width(self, step: int) -> Self:
        """Heads of 8 × `step`; their number stays, the feed-forward's width keeps its ratio."""
        hidden_size = 8 * step * self.num_attention_heads
        ratio = self.intermediate_size / self.hidden_size
        return self.model_copy(
            update={"hidden_size": hidden_size, "intermediate_size": max(8, round(ratio * hidden_size / 8) * 8)}
        )


class Transform(nn.Module):
    """A hidden layer before a head: linear, activation, normalisation; (…, D) to (…, D)."""

    def __init__(self, size: int, activation: Activation, norm: nn.LayerNorm, *, bias: bool = True) -> None:
        super().__init__()
        self.dense = nn.Linear(size, size, bias=bias)
        self.activation = ACTIVATIONS[activation]
        self.norm = norm

    def forward(self, x: Tensor) -> Tensor:
        out: Tensor = self.norm(self.activation(self.dense(x)))
        return out


class MaskedHead(nn.Module):
    """Logits (…, V) of the token at each position, through a hidden layer."""

    def __init__(self, transform: Transform, vocab_size: int, *, bias: bool = True) -> None:
        super().__init__()
        self.transform = transform
        self.decoder = nn.Linear(transform.dense.in_features, vocab_size, bias=bias)

    def forward(self, x: Tensor) -> Tensor:
        out: Tensor = self.decoder(self.transform(x))
        return out


class Pooler(nn.Module):
    """A text's vector from that of its first token: (B, D) to (B, D)."""

    def __init__(self, size: int, activation: Callable[[Tensor], Tensor] = torch.tanh, *, dropout: float = 0.0) -> None:
        super().__init__()
        self.dropout = nn.Dropout(dropout)
        self.dense = nn.Linear(size, size)
        self.activation = activation

    def forward(self, x: Tensor) -> Tensor:
        return self.activation(self.dense(self.dropout(x)))


@dataclass(frozen=True)
class Texts:
    """What an encoder reads, (B, T) each; see `LanguageModel.hidden`."""

    input_ids: Tensor
    positions: Tensor
    attention_mask: Tensor | None
    segments: Tensor | None
    token_types: Tensor | None


class Encoder(LanguageModel):
    """A model whose every position sees both sides.

    Its call returns, by the config's `head`: of `none` hidden states (B, T, D); of `masked-lm` and `pretraining`
    logits (B, T, V) of the token at each position; of `sequence-classification` (B, L); of `token-classification`
    (B, T, L); of `question-answering` (B, T, 2), where the answer starts and where it ends.
    """

    config: EncoderConfig
    embed_tokens: nn.Embedding
    pooler: Pooler | None
    classifier: nn.Linear | None

    def __init__(self, config: EncoderConfig) -> None:
        super().__init__()
        self.config = config
        self.lm_head = nn.Identity()
        self.pooler = None
        self.classifier = nn.Linear(config.hidden_size, config.num_labels) if config.head in CLASSIFYING else None

    @property
    def reads_token_types(self) -> bool:
        return False

    @abstractmethod
    def encode(self, texts: Texts) -> Tensor:
        """Hidden states (B, T, D)."""

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
        assert decoder_input_ids is None, f"{name} has no decoder"
        assert state is None, f"{name} remembers nothing between calls"
        assert token_types is None or self.reads_token_types, f"{name} has no token types"
        if positions is None:
            positions = count_positions(input_ids, attention_mask=attention_mask, segments=segments)
        texts = Texts(input_ids, positions, attention_mask, segments, token_types)
        return self._encode_packed(texts) if self._packs(texts) else self.encode(texts)

    def _packs(self, texts: Texts) -> bool:
        """Whether padding can be left out: nothing is learnt or watched, and a kernel tells texts of one row apart."""
        mask = texts.attention_mask
        if mask is None or mask.ndim != 2 or texts.segments is not None:
            return False
        if self.training or torch.is_grad_enabled() or torch.compiler.is_compiling() or torch.compiler.is_exporting():
            return False
        head_size = self.config.hidden_size // self.config.num_attention_heads
        if not reads_stretches(self.embed_tokens.weight, head_size):
            return False
        return not any(module._forward_hooks or module._forward_pre_hooks for module in self.modules())

    def _encode_packed(self, texts: Texts) -> Tensor:
        """As `encode`, of real tokens alone: rows of whole texts, each a segment; padded positions are 0."""
        assert texts.attention_mask is not None, "asked of texts that have a mask"
        real = texts.attention_mask.bool()
        owners = torch.arange(len(real), device=real.device)[:, None]

        def in_one_row(values: Tensor) -> Tensor:
            return values.expand(real.shape)[real]  # (R,)

        ids, positions, owners = in_one_row(texts.input_ids), in_one_row(texts.positions), in_one_row(owners)
        types = None if texts.token_types is None else in_one_row(texts.token_types)
        states = []
        for part in _parts(real.sum(1).tolist()):
            types_here = None if types is None else types[None, part]
            row = Texts(ids[None, part], positions[None, part], None, owners[None, part], types_here)
            states.append(self.encode(row)[0])
        hidden = states[0].new_zeros(*real.shape, states[0].size(1))
        hidden[real] = torch.cat(states)
        return hidden

    def forward(
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
        hidden = self.hidden(
            input_ids,
            decoder_input_ids=decoder_input_ids,
            attention_mask=attention_mask,
            positions=positions,
            segments=segments,
            token_types=token_types,
            state=state,
        )
        if self.classifier is None:
            out: Tensor = self.lm_head(hidden)
            return out
        if self.config.head == "sequence-classification":
            assert segments is None, "a packed row has no one label; give each text its own row"
            return self.classify(self.pooled(hidden, attention_mask))
        return self.classify(self.transformed(hidden))

    def pooled(self, hidden: Tensor, attention_mask: Tensor | None = None) -> Tensor:
        """(B, D): one vector a text, by default the pooler's (without one, the hidden state) of its first token."""
        if attention_mask is None:
            first = hidden[:, 0]
        else:
            rows = torch.arange(len(hidden), device=hidden.device)
            first = hidden[rows, attention_mask.long().argmax(dim=1)]
        return first if self.pooler is None else self.pooler(first)

    def transformed(self, hidden: Tensor) -> Tensor:
        """What a classifier of tokens reads of hidden states."""
        return hidden

    def classify(self, features: Tensor) -> Tensor:
        assert self.classifier is not None, f"the head {self.config.head} has no classifier"
        dropped = nn.functional.dropout(features, self.config.head_dropout, training=self.training)
        out: Tensor = self.classifier(dropped)
        return out

    def finish(self) -> None:
        """Draw the weights (normal, biases zero) and tie the head: the last step of building."""
        for module in self.modules():
            if isinstance(module, nn.Linear | nn.Embedding):
                nn.init.normal_(module.weight, std=self.config.initializer_range)
            if isinstance(module, nn.Linear) and module.bias is not None:
                nn.init.zeros_(module.bias)
        if isinstance(self.lm_head, MaskedHead) and self.config.tie_word_embeddings:
            self.lm_head.decoder.weight = self.embed_tokens.weight


def _parts(lengths: Sequence[int]) -> list[slice]:
    """Stretches of texts in a row, cut where one more would make more than `PACKED` tokens."""
    cuts, place = [0], 0
    for length in lengths:
        if place + length - cuts[-1] > PACKED and place > cuts[-1]:
            cuts.append(place)
        place += length
    return [slice(begin, end) for begin, end in zip(cuts, [*cuts[1:], place], strict=True)]
