"""A cache that keeps the tokens too, for models that must read a text again once it has grown."""

from __future__ import annotations

from typing import Self

import torch
from torch import Tensor
from torch.nn.utils.rnn import pad_sequence

from wenlu.models.layers.kv_cache import KVCache


class RereadingCache(KVCache):
    """Keys, values, and the token ids that they are of."""

    _texts: tuple[Tensor, ...] = ()

    @property
    def texts(self) -> tuple[Tensor, ...]:
        """The tokens of each row so far."""
        return self._texts or (torch.empty(0, dtype=torch.int64, device=self.lengths.device),) * len(self.lengths)

    def grown(self, input_ids: Tensor, attention_mask: Tensor | None) -> tuple[Tensor, ...]:
        """The tokens of each row with new ones, (B, T) padded on the right, behind them."""
        counts = self.count_new(input_ids.size(1), attention_mask)
        return tuple(
            torch.cat((text, new[:count])) for text, new, count in zip(self.texts, input_ids, counts, strict=True)
        )

    def remember(self, texts: tuple[Tensor, ...]) -> None:
        """Take over the tokens, once their keys and values are in."""
        self._texts = texts

    def replace(self, other: Self) -> None:
        """Take over everything from `other`."""
        self._keys, self._values, self._lengths = other._keys, other._values, other._lengths
        self._texts = other._texts

    def select(self, rows: Tensor) -> Self:
        chosen = super().select(rows)
        chosen._texts = tuple(self.texts[row] for row in rows.tolist())
        return chosen

    @classmethod
    def join(cls, states: list[Self]) -> Self:
        joined = super().join(states)
        joined._texts = tuple(text for state in states for text in state.texts)
        return joined


def padded(texts: tuple[Tensor, ...]) -> tuple[Tensor, Tensor]:
    """(B, T) ids of texts of different lengths, padded on the right, and their attention mask."""
    ids = pad_sequence(list(texts), batch_first=True)
    lengths = torch.tensor([len(text) for text in texts], device=ids.device)
    return ids, (torch.arange(ids.size(1), device=ids.device) < lengths[:, None]).long()
