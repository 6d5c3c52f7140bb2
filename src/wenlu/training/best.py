"""The weights that were best on the validation part, and when to stop looking for better ones."""

from __future__ import annotations

import math
from collections.abc import Mapping

import torch
from torch import Tensor


class Best:
    """Keeps a copy of the weights of the lowest validation (Prechelt 1998, Early stopping – but when?).

    Attributes:
        weights: empty before the first validation.
        value: the lowest so far. since: validations after it, none of which was lower.
        is_spent: whether one was beyond what may be lost of what was learnt before.
    """

    def __init__(self, patience: int | None) -> None:
        self.patience = patience
        self.weights: dict[str, Tensor] = {}
        self.value = math.inf
        self.since = 0
        self.is_spent = False

    @property
    def is_over(self) -> bool:
        """Whether as many validations as there is patience for brought nothing better, or one lost too much."""
        return self.is_spent or (self.patience is not None and self.since >= self.patience)

    @torch.no_grad()
    def begin(self, weights: Mapping[str, Tensor]) -> None:
        """Have weights to go back to, where no validation allows others."""
        self.weights = {name: weight.detach().clone() for name, weight in weights.items()}

    @torch.no_grad()
    def meet(self, value: float, weights: Mapping[str, Tensor], *, is_allowed: bool = True) -> None:
        """Take note of a validation of `weights`; those that are not allowed are the last."""
        if not is_allowed:
            self.is_spent = True
        elif value < self.value:
            self.value, self.since = value, 0
            self.weights = {name: weight.detach().clone() for name, weight in weights.items()}
        else:
            self.since += 1

    def facts(self) -> dict[str, float | int | None]:
        value = self.value if math.isfinite(self.value) else None
        facts: dict[str, float | int | None] = {"value": value, "since": self.since}
        return {**facts, "is_spent": True} if self.is_spent else facts

    def restore(self, weights: Mapping[str, Tensor], facts: Mapping[str, float | int | None]) -> None:
        self.weights = dict(weights)
        value = facts["value"]
        self.value, self.since = math.inf if value is None else float(value), int(facts["since"] or 0)
        self.is_spent = bool(facts.get("is_spent", False))
