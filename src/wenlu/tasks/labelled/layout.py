"""How one or two texts stand in a row: what a model was pretrained with, or the end of text around them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

from wenlu.tokenizers import Tokenizer

Part = Literal["head", "tail", "head-tail", "windows"]
HEAD_SHARE = 0.25
"""Of a text that is cut in its middle, what is kept of its head (Sun et al. 2019, arXiv:1905.05583, section 5.3.1,
which keeps 128 of 510)."""
WINDOW_OVERLAP = 0.25


@dataclass(frozen=True)
class Layout:
    """The tokens around a text, and those before, between and behind a pair."""

    before: tuple[int, ...]
    between: tuple[int, ...]
    behind: tuple[int, ...]

    @classmethod
    def of(cls, tokenizer: Tokenizer) -> Layout:
        """That of tokenizer.json; where it puts nothing around a text, the end of text stands behind each."""
        before, behind = (tuple(ids) for ids in tokenizer.frame)
        if before or behind:
            return cls(before, tuple(tokenizer.pair_frame[1]), behind)
        end = () if tokenizer.eos_id is None else (tokenizer.eos_id,)
        return cls((), end, end)

    def room(self, context: int, *, pair: bool) -> int:
        """How many tokens of text fit into `context`."""
        return context - len(self.before) - len(self.behind) - (len(self.between) if pair else 0)

    def row(self, first: Sequence[int], second: Sequence[int] | None = None) -> tuple[list[int], list[int]]:
        """Ids, and 0 for the first text with what is around it and 1 for the second."""
        if second is None:
            ids = [*self.before, *first, *self.behind]
            return ids, [0] * len(ids)
        left = [*self.before, *first, *self.between]
        right = [*second, *self.behind]
        return left + right, [0] * len(left) + [1] * len(right)


def parts(ids: Sequence[int], room: int, part: Part) -> list[Sequence[int]]:
    """What is read of a text that may be longer than `room`: one piece, or windows that overlap."""
    if len(ids) <= room:
        return [ids]
    match part:
        case "head":
            return [ids[:room]]
        case "tail":
            return [ids[-room:]]
        case "head-tail":
            head = int(HEAD_SHARE * room)
            return [[*ids[:head], *ids[len(ids) - (room - head) :]]]
        case "windows":
            step = max(1, room - int(WINDOW_OVERLAP * room))
            last = len(ids) - room
            starts = [*range(0, last, step), last]
            return [ids[start : start + room] for start in starts]


def shortened(first: Sequence[int], second: Sequence[int], room: int) -> tuple[Sequence[int], Sequence[int]]:
    """A pair that fits: the longer text loses its end until both are equally long, then both do."""
    over = len(first) + len(second) - room
    if over <= 0:
        return first, second
    half = room // 2
    if len(second) <= half:
        return first[: room - len(second)], second
    if len(first) <= half:
        return first, second[: room - len(first)]
    return first[: room - half], second[:half]
