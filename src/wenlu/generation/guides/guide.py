"""What an engine asks while it writes an answer that must have a form."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Protocol

from torch import Tensor


class Guide(Protocol):
    """How one answer may go on: a function of the answer so far, so nothing is to be undone when tokens are dropped.

    What a guide remembers of its last question only saves it work; each answer that is written has one of its own.
    """

    def mask(self, answer: Sequence[int]) -> Tensor:
        """(V,) bool, V the tokenizer's: tokens that may come next; end tokens where it is complete."""

    def is_complete(self, answer: Sequence[int]) -> bool:
        """Whether `answer` has the form."""

    def is_full(self, answer: Sequence[int]) -> bool:
        """Whether it is complete and nothing may follow."""
