"""What an engine asks of a memory, whatever the model remembers."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol

from torch import Tensor

from wenlu.generation.seat import Part, Seat


@dataclass(frozen=True)
class Reading:
    """Logits (B, V) of the next token of seats whose prompts and answers are read to their end.

    Attributes:
        seats: of each row; one with guesses stands there once more for each of them, in order.
    """

    seats: Sequence[Seat]
    logits: Tensor


class Memory(Protocol):
    """What the model remembers of all seats, and the reading of more."""

    @property
    def unit(self) -> int | None:
        """A part of a prompt ends at multiples of so many tokens, or at the prompt's end; None: it is read whole."""

    def check(self, tokens: int) -> None:
        """Raise UsageError where one text of so many tokens has no room, even alone."""

    def begin(self, seat: Seat) -> None:
        """Give an empty seat what is remembered of its prompt's beginning already."""

    def reserve(self, seat: Seat, end: int, *, spare: int = 0) -> bool:
        """Make room for the tokens of a seat up to `end`, `spare` pages staying free; False where there is none."""

    def trim(self, seat: Seat) -> None:
        """Give back the room behind what is read of a seat."""

    def free(self, seat: Seat) -> None:
        """Forget all that was read of a seat."""

    def read(self, parts: Sequence[Part]) -> list[Reading]:
        """Read parts of seats that have room for them; the followers of a prompt that is complete get it too."""
