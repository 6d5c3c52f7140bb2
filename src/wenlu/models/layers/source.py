"""What an encoder–decoder remembers: the source as its decoder sees it, and the target read so far."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Self

import torch
import torch.nn.functional as F
from torch import Tensor

from wenlu.models.family import DecodeState


@dataclass(frozen=True)
class Source:
    """Texts that the encoder has read, as the decoder's attention looks at them.

    Attributes:
        memories: keys and values (B, …, S, H) of each attention layer.
        real: (B, S) bool, false at padding; None: nothing is padded.
    """

    memories: tuple[tuple[Tensor, Tensor], ...]
    real: Tensor | None

    @property
    def length(self) -> int:
        return self.memories[0][0].size(-2)

    def detach(self) -> Self:
        return type(self)(tuple((keys.detach(), values.detach()) for keys, values in self.memories), self.real)

    def select(self, rows: Tensor) -> Self:
        memories = tuple((keys.index_select(0, rows), values.index_select(0, rows)) for keys, values in self.memories)
        return type(self)(memories, None if self.real is None else self.real.index_select(0, rows))

    @classmethod
    def join(cls, sources: list[Self]) -> Self:
        """The rows of all, padded on the right to the longest source."""
        longest = max(source.length for source in sources)
        layers = zip(*(source.memories for source in sources), strict=True)
        memories = tuple(
            (
                torch.cat([_lengthened(keys, longest) for keys, _ in layer]),
                torch.cat([_lengthened(values, longest) for _, values in layer]),
            )
            for layer in layers
        )
        if all(source.real is None and source.length == longest for source in sources):
            return cls(memories, None)
        return cls(memories, torch.cat([F.pad(source._known(), (0, longest - source.length)) for source in sources]))

    def _known(self) -> Tensor:
        """`real` as a tensor, also where nothing is padded."""
        if self.real is not None:
            return self.real
        keys = self.memories[0][0]
        return torch.ones(len(keys), self.length, dtype=torch.bool, device=keys.device)


class EncoderDecoderState(DecodeState):
    """The source of B rows, once it is read, and the decoder's own memory of their targets.

    `lengths` counts target tokens.
    """

    def __init__(self, target: DecodeState, source: Source | None = None) -> None:
        self.target = target
        self.source = source

    @property
    def lengths(self) -> Tensor:
        return self.target.lengths

    def select(self, rows: Tensor) -> Self:
        return type(self)(self.target.select(rows), None if self.source is None else self.source.select(rows))

    @classmethod
    def join(cls, states: list[Self]) -> Self:
        target = type(states[0].target).join([state.target for state in states])
        sources = [state.source for state in states if state.source is not None]
        if not sources:
            return cls(target)
        if len(sources) < len(states):
            raise ValueError("some of the states have read no source yet; let each read its own before they are joined")
        return cls(target, Source.join(sources))


def _lengthened(block: Tensor, length: int) -> Tensor:
    """(B, …, S, H) with zeros after the S-th row, `length` rows in all."""
    return F.pad(block, (0, 0, 0, length - block.size(-2)))
