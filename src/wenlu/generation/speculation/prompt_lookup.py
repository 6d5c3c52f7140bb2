"""Guess that the text repeats itself: the tokens that followed its last few where they stood before.

Saxena 2023, "Prompt lookup decoding": for summaries, corrections and code, whose answers quote their prompts.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from wenlu.generation.speculation.drafter import Draft, Draftee, Guess
from wenlu.models import LanguageModel

if TYPE_CHECKING:
    from wenlu.generation.engine import Request


@dataclass(frozen=True)
class PromptLookup:
    """Looks for the longest end of the text, `most` tokens at most, that stands in it earlier; the latest place wins.

    Attributes:
        least: shorter ends are not looked for.
    """

    most: int = 3
    least: int = 1

    def check(self, request: Request, model: LanguageModel) -> None:
        pass

    def propose(self, rows: Sequence[Draftee], counts: Sequence[int]) -> list[Draft]:
        return [self._guess([*row.before, *row.answer], count) for row, count in zip(rows, counts, strict=True)]

    def forget(self, id: int) -> None:
        pass

    def _guess(self, text: Sequence[int], count: int) -> Draft:
        last, best, behind = text[-1], self.least - 1, 0
        for place in range(len(text) - 2, -1, -1):
            if text[place] != last:
                continue
            size = 1
            while size < min(self.most, place + 1) and text[place - size] == text[-1 - size]:
                size += 1
            if size > best:
                best, behind = size, place + 1
            if best == self.most:
                break
        return tuple(Guess(token) for token in text[behind : behind + count]) if behind else ()
