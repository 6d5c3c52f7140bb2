"""Guess that the text repeats itself: the tokens that followed its last few where they stood before.

Saxena 2023, "Prompt lookup decoding": for summaries, corrections and code, whose answers quote their prompts.
"""

from __future__ import annotations

from dataclasses import dataclass

from wenlu.generation.speculation.drafter import Draft, Draftee


@dataclass(frozen=True)
class PromptLookup:
    """Looks for the longest end of the text, `most` tokens at most, that stands in it earlier; the latest place wins.

    Attributes:
        least: shorter ends are not looked for.
    """

    most: int = 3
    least: int = 1

    def propose(self, row: Draftee, count: int) -> Draft:
        text = [*row.before, *row.answer]
        for size in range(min(self.most, len(text) - 1), self.least - 1, -1):
            end = text[-size:]
            for start in range(len(text) - size - 1, -1, -1):
                if text[start : start + size] == end:
                    return Draft(tuple(text[start + size : start + size + count]))
        return Draft()
