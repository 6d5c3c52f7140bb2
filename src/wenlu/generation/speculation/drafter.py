"""Who guesses what comes next."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Protocol

from torch import Tensor

from wenlu.models import LanguageModel

if TYPE_CHECKING:
    from wenlu.generation.engine import Request


@dataclass(frozen=True)
class Guess:
    """A token that may come next, with the (V,) float64 probabilities that it was drawn from, where it was drawn."""

    token: int
    probabilities: Tensor | None = None


Draft = tuple[Guess, ...]
"""One after the other."""


@dataclass(frozen=True)
class Draftee:
    """An answer with what stands before it; `choosing` calls this a running request.

    Attributes:
        id: the engine's, by which a drafter knows again what it has read.
    """

    request: Request
    limit: int
    before: Sequence[int]
    answer: Sequence[int]
    id: int = 0

    @property
    def position(self) -> int:
        return len(self.request.prompt) + len(self.answer)

    def fail(self, error: str) -> None:
        """Nothing: the engine meets the same error where it chooses in this place."""

    def behind(self, tokens: Sequence[int]) -> Draftee:
        """The answer with more `tokens`."""
        return Draftee(self.request, self.limit, self.before, [*self.answer, *tokens], self.id)


class Drafter(Protocol):
    """Guesses for many answers; what it keeps of them only saves work."""

    def check(self, request: Request, model: LanguageModel) -> None:
        """Raise UsageError where nothing can be guessed that `model` may answer to `request`."""

    def propose(self, rows: Sequence[Draftee], counts: Sequence[int]) -> list[Draft]:
        """At most so many tokens as `counts` says that may come behind the answer of each row; none where it has no
        idea. Each is a function of the row alone."""

    def forget(self, id: int) -> None:
        """Forget an answer; one that it does not know is left alone."""
