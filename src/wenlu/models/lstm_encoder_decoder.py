"""An encoder–decoder of long short-term memory layers that chooses at each step where to look in the source.

Bahdanau et al. 2015, arXiv:1409.0473, with LSTM for its gated units and a tanh for the maxout before its head.
"""

from __future__ import annotations

from typing import Self

import torch
from pydantic import Field
from torch import Tensor, nn
from torch.nn.utils.rnn import pack_padded_sequence, pad_packed_sequence

from wenlu.models.family import Ability, DecodeState, Family, Size
from wenlu.models.layers.encoder_decoder import EncoderDecoder, EncoderDecoderConfig
from wenlu.models.layers.mask import is_right_padded
from wenlu.models.layers.recurrent import RecurrentState
from wenlu.models.layers.source import Source
from wenlu.models.weights.rules import Tie


class LSTMEncoderDecoderConfig(EncoderDecoderConfig):
    """Source and target share one vocabulary and embedding, and the head too if tied.

    Dropout is on non-recurrent connections only (Zaremba et al. 2014, arXiv:1409.2329).
    """

    num_hidden_layers: int = Field(default=1, ge=1, le=1000)
    num_decoder_layers: int = Field(default_factory=lambda known: known["num_hidden_layers"], ge=1, le=1000)
    embedding_size: Size = Field(default_factory=lambda known: known["hidden_size"])
    attention_size: Size = Field(default_factory=lambda known: known["hidden_size"])
    """Width of the layer that scores a source position against the decoder's state."""
    dropout: float = Field(default=0.0, ge=0, lt=1)
    initializer_range: float = Field(default=0.1, ge=0, le=1)
    tie_word_embeddings: bool = False

    def at_width(self, step: int) -> Self:
        ratios = {name: getattr(self, name) / self.hidden_size for name in ("embedding_size", "attention_size")}
        sizes = {name: max(8, round(ratio * step) * 8) for name, ratio in ratios.items()}
        return self.model_copy(update={"hidden_size": 8 * step, **sizes})


class AdditiveAttention(nn.Module):
    """Scores of the positions of a source: a layer with a tanh over the sum of a query and a key."""

    def __init__(self, *, query_size: int, key_size: int, size: int) -> None:
        super().__init__()
        self.q_proj = nn.Linear(query_size, size)
        self.k_proj = nn.Linear(key_size, size, bias=False)
        self.score = nn.Linear(size, 1, bias=False)

    def forward(self, query: Tensor, keys: Tensor, values: Tensor, real: Tensor | None) -> Tensor:
        """The values (B, S, H) mixed for each query (B, D): (B, H); `keys` (B, S, A) are projected already."""
        scores = self.score(torch.tanh(self.q_proj(query)[:, None] + keys)).squeeze(2)  # (B, S)
        if real is not None:
            scores = scores.masked_fill(~real, float("-inf"))
        mixed: Tensor = (scores.softmax(dim=1)[:, None] @ values).squeeze(1)
        return mixed


class LSTMEncoderDecoder(EncoderDecoder):
    """Hidden states before the head have the width of the embedding."""

    config: LSTMEncoderDecoderConfig

    def __init__(self, config: LSTMEncoderDecoderConfig) -> None:
        super().__init__()
        self.config = config
        size, narrow = config.hidden_size, config.embedding_size
        self.embed_tokens = nn.Embedding(config.vocab_size, narrow)
        self.dropout = nn.Dropout(config.dropout)
        self.encoder = nn.LSTM(
            narrow,
            size,
            config.num_hidden_layers,
            dropout=config.dropout if config.num_hidden_layers > 1 else 0.0,
            batch_first=True,
            bidirectional=True,
        )
        self.start = nn.Linear(size, config.num_decoder_layers * size)
        self.cross_attn = AdditiveAttention(query_size=size, key_size=2 * size, size=config.attention_size)
        widths = [narrow + 2 * size, *[size] * (config.num_decoder_layers - 1)]
        self.decoder = nn.ModuleList(nn.LSTMCell(width, size) for width in widths)
        self.readout = nn.Linear(narrow + 3 * size, narrow)
        self.lm_head = nn.Linear(narrow, config.vocab_size, bias=False)
        nn.init.normal_(self.embed_tokens.weight, std=config.initializer_range)
        for name, parameter in self.named_parameters():
            if ".bias_ih" in name:
                parameter.detach()[size : 2 * size] = 1.0  # remember at first
        if config.tie_word_embeddings:
            self.lm_head.weight = self.embed_tokens.weight

    def read_source(self, input_ids: Tensor, attention_mask: Tensor | None) -> Source:
        real = None if attention_mask is None else attention_mask.bool()
        if real is not None:  # all padding to the right, as packed sequences have it
            order = (~real).long().argsort(dim=1, stable=True)
            input_ids, real = input_ids.gather(1, order), real.gather(1, order)
        x = self.dropout(self.embed_tokens(input_ids))
        if real is None:
            encoded, _ = self.encoder(x)  # (B, S, 2 D)
        else:
            packed = pack_padded_sequence(x, real.sum(1).cpu(), batch_first=True, enforce_sorted=False)
            encoded, _ = pad_packed_sequence(self.encoder(packed)[0], batch_first=True, total_length=x.size(1))
        return Source(((self.cross_attn.k_proj(encoded), encoded),), real)

    def read_target(
        self, input_ids: Tensor, source: Source, *, attention_mask: Tensor | None, memory: DecodeState | None
    ) -> Tensor:
        assert memory is None or isinstance(memory, RecurrentState), f"needs a RecurrentState, not {memory!r}"
        if memory is not None and attention_mask is not None and not is_right_padded(attention_mask):
            raise ValueError("with a state, padding must stand on the right of the new tokens")
        h, c = self._start(source, memory)
        embedded = self.dropout(self.embed_tokens(input_ids))
        outputs = []
        for place in range(input_ids.size(1)):
            out, new_h, new_c = self._step(embedded[:, place], h, c, source)
            outputs.append(out)
            if attention_mask is None:
                h, c = new_h, new_c
            else:  # a padded row keeps the memory that it had
                is_real = attention_mask[:, place, None].bool()
                h, c = torch.where(is_real, new_h, h), torch.where(is_real, new_c, c)
        if memory is not None:
            memory.advance((h, c), input_ids.size(1) if attention_mask is None else attention_mask.long().sum(1))
        return torch.stack(outputs, dim=1)

    def new_memory(self, batch_size: int) -> RecurrentState:
        weight = self.embed_tokens.weight
        zeros = weight.new_zeros(self.config.num_decoder_layers, batch_size, self.config.hidden_size)
        return RecurrentState((zeros, zeros), torch.zeros(batch_size, dtype=torch.int64, device=weight.device))

    def _start(self, source: Source, memory: RecurrentState | None) -> tuple[Tensor, Tensor]:
        """Hidden and cell states (layers, B, D): of a new target from what the encoder, read backwards, ends with."""
        backward = source.memories[0][1][:, 0, self.config.hidden_size :]
        first = torch.tanh(self.start(backward)).view(len(backward), -1, self.config.hidden_size).transpose(0, 1)
        if memory is None:
            return first, torch.zeros_like(first)
        h, c = memory.memory
        return torch.where((memory.lengths == 0)[:, None], first, h), c

    def _step(self, x: Tensor, h: Tensor, c: Tensor, source: Source) -> tuple[Tensor, Tensor, Tensor]:
        """One target token (B, E): its hidden state before the head, and the memory after it."""
        context = self.cross_attn(h[-1], *source.memories[0], source.real)
        inner = torch.cat((x, context), dim=1)
        states: list[tuple[Tensor, Tensor]] = []
        for index, cell in enumerate(self.decoder):
            states.append(cell(inner if index == 0 else self.dropout(states[-1][0]), (h[index], c[index])))
        top = self.dropout(states[-1][0])
        out = self.dropout(torch.tanh(self.readout(torch.cat((top, context, x), dim=1))))
        return out, torch.stack([state[0] for state in states]), torch.stack([state[1] for state in states])


FAMILY = Family(
    name="lstm_encoder_decoder",
    hf_types=(),
    reference="torch.nn.LSTMCell",
    abilities=frozenset({Ability.ENCODER_DECODER}),
    config=LSTMEncoderDecoderConfig,
    model=LSTMEncoderDecoder,
    proportions={"hidden_size": 256},
    rules=(Tie("lm_head.weight", "embed_tokens.weight", when="tie_word_embeddings"),),
)
