"""Answers that are one of several texts, however they are cut into tokens."""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Iterator, Mapping, Sequence

import torch
from torch import Tensor

from wenlu.errors import UsageError
from wenlu.generation.guides.spellings import Spellings


class Choices:
    """A guide to the texts in `choices`, the same one for any number of answers.

    A trie whose nodes are the beginnings of the texts, in bytes: from each lead the tokens that go on towards a text
    which the vocabulary can spell to its end.

    Args:
        begins: no text stands before the answer.

    Raises:
        UsageError: a text that the vocabulary cannot spell.
    """

    def __init__(self, choices: Sequence[str], spellings: Spellings, ends: frozenset[int], *, begins: bool) -> None:
        self._texts = sorted({choice.encode() for choice in choices})
        self._spellings = spellings
        self._ends = [token for token in ends if token < len(spellings.later)]
        self._begins = begins
        self._finishing = {said for text in self._texts for said in _finishing(text, spellings.ids)}
        self._masks: dict[tuple[bytes, bool], Tensor] = {}
        for text in self._texts:
            if not any(self._steps(text, 0, first=begins)):
                raise UsageError(
                    f"choices: no tokens of this tokenizer spell {text.decode()!r:.80}; write it otherwise"
                )

    def mask(self, answer: Sequence[int]) -> Tensor:
        said = self._said(answer)
        node = said, self._begins and not answer
        if node not in self._masks:
            mask = torch.zeros(len(self._spellings.later), dtype=torch.bool)
            for text in self._from(said):
                for tokens in self._steps(text, len(said), first=node[1]):
                    mask[tokens] = True
            mask[self._ends] = self.is_complete(answer)
            self._masks[node] = mask
        return self._masks[node]

    def is_complete(self, answer: Sequence[int]) -> bool:
        said = self._said(answer)
        return next(self._from(said), None) == said

    def is_full(self, answer: Sequence[int]) -> bool:
        said = self._said(answer)
        return list(self._from(said)) == [said]

    def _steps(self, text: bytes, start: int, *, first: bool) -> Iterator[list[int]]:
        """Tokens that go on from the first `start` bytes of `text` towards one of the texts."""
        ids = self._spellings.first_ids if first else self._spellings.ids
        for end in range(start + 1, len(text) + 1):
            if text[:end] in self._finishing and (tokens := ids.get(text[start:end])):
                yield tokens

    def _said(self, answer: Sequence[int]) -> bytes:
        pieces = (self._spellings.piece(token, begins=self._begins and not place) for place, token in enumerate(answer))
        return b"".join(pieces)

    def _from(self, said: bytes) -> Iterator[bytes]:
        """The texts that begin with `said`, this one first."""
        for place in range(bisect_left(self._texts, said), len(self._texts)):
            if not self._texts[place].startswith(said):
                return
            yield self._texts[place]


def _finishing(text: bytes, ids: Mapping[bytes, list[int]]) -> list[bytes]:
    """The beginnings of `text`, all of it included, behind which tokens spell the rest."""
    longest = max(map(len, ids), default=0)
    good = [False] * len(text) + [True]
    for start in range(len(text) - 1, 0, -1):
        ends = range(start + 1, min(len(text), start + longest) + 1)
        good[start] = any(good[end] and text[start:end] in ids for end in ends)
    return [text[:end] for end in range(1, len(text) + 1) if good[end]]
