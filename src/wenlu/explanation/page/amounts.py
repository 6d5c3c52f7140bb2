"""Amounts as a reader wants them: as many decimals as the largest needs, a sign before each, a step of colour."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from decimal import ROUND_HALF_UP, Decimal

from wenlu.explanation.explanation import Attributed

LISTED = 12
"""Units in the list of the strongest."""
STEPS = 5
"""Of colour, from hardly to strongest."""


@dataclass(frozen=True)
class Scale:
    """Attributes:
    largest: by which colours and bars are measured. places: decimals that give the largest four digits.
    """

    largest: float
    places: int

    @classmethod
    def of(cls, amounts: Sequence[float]) -> Scale:
        """Of those that are finite."""
        largest = max((abs(amount) for amount in amounts if math.isfinite(amount)), default=0.0) or 1.0
        return cls(largest, min(9, max(0, 3 - math.floor(math.log10(largest)))))

    def written(self, amount: float) -> str:
        """With its sign, and a true minus."""
        found = rounded(amount, self.places)
        return found if amount < 0 or not math.isfinite(amount) else f"+{found}"

    def step(self, amount: float) -> int:
        """0 to `STEPS`; half a step and less is not coloured."""
        return round(STEPS * abs(amount) / self.largest) if math.isfinite(amount) else 0


def rounded(amount: float, places: int) -> str:
    """Halves away from zero, as the script of the page rounds."""
    if not math.isfinite(amount):
        return str(amount)
    size = Decimal(abs(amount)).quantize(Decimal(1).scaleb(-places), ROUND_HALF_UP)
    return f"−{size:f}" if amount < 0 else f"{size:f}"


def figure(value: float) -> str:
    """A measured number, four digits of it."""
    return f"{value:.4g}".replace("-", "−", 1) if value < 0 else f"{value:.4g}"


def percent(share: float) -> str:
    """Of a probability, without the sign; it is never called certain where it is not."""
    if 0.9995 <= share < 1:
        return "> 99.9"
    return "< 0.1" if 0 < share < 0.0005 else f"{100 * share:.1f}"


def listed(attributions: Sequence[Attributed]) -> list[int]:
    """Numbers of the strongest units, in falling order; those that were not read, and zeros, are none."""
    sizes = {n: abs(each.attribution) for n, each in enumerate(attributions) if each.attribution}
    return sorted(sizes, key=lambda number: -sizes[number])[:LISTED]
