"""Who guesses what comes next."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Protocol

from torch import Tensor

if TYPE_CHECKING:
    from wenlu.generation.engine import Request


@dataclass(frozen=True)
class Draft:
    """Guessed tokens.

    Attributes:
        probabilities: (k, V) float64 that they were drawn from, one after the other; None where nothing was drawn.
    """

    tokens: tuple[int, ...] = ()
    probabilities: Tensor | None = None


@dataclass(frozen=True)
class Draftee:
    """An answer with what stands before it; `choosing` calls this a running request."""

    request: Request
    limit: int
    before: Sequence[int]
    answer: Sequence[int]

    @property
    def position(self) -> int:
        return len(self.request.prompt) + len(self.answer)

    def behind(self, tokens: Sequence[int]) -> Draftee:
        """The answer with more `tokens`."""
        return Draftee(self.request, self.limit, self.before, [*self.answer, *tokens])


class Drafter(Protocol):
    """Guesses for one answer at a time; what it keeps of the last one only saves work."""

    def propose(self, row: Draftee, count: int) -> Draft:
        """At most `count` tokens that may come behind the answer of `row`; none where it has no idea."""
