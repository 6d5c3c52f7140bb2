"""What a method of attribution is asked, and what it gives."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Literal

from pydantic import Field, NonNegativeInt, PositiveInt

from wenlu.config import Config
from wenlu.explanation.subject import Floats, Subject
from wenlu.explanation.units import Unit

COMPLETE = 1e-3
"""By how much of the difference to the baseline the sum of attributions may be off."""


class EffortConfig(Config):
    """How long a method may try.

    Attributes:
        max_steps: nodes of the path that integrated gradients double up to.
        samples: orders in which sampled Shapley values put units back, in pairs of an order and its reverse.
        seed: of what is drawn.
    """

    max_steps: PositiveInt = 1024
    samples: int = Field(default=16, ge=2)
    seed: NonNegativeInt = 0


@dataclass(frozen=True)
class Attribution:
    """What each unit has to do with the number.

    Attributes:
        amounts: (U,) on the grid of `units`. errors: (U,) standard errors of what was sampled.
        completeness_error: |Σ amounts - (F(x) - F(baseline))| / |F(x) - F(baseline)|; None: the method promises no sum.
        steps: nodes or orders that were spent. elsewhere: what is owed to no unit, by name.
    """

    amounts: Floats
    errors: Floats | None = None
    completeness_error: float | None = None
    steps: int | None = None
    elsewhere: tuple[tuple[str, float], ...] = ()


Attribute = Callable[[Subject, Sequence[Unit], EffortConfig], Attribution]


@dataclass(frozen=True)
class Method:
    """A way to attribute.

    Attributes:
        needs: "model": any that answers; "gradient", "attention": a neural one; "weights": a linear one.
        is_signed: whether amounts speak for and against; attention has no sign.
        is_sampled: whether another seed gives other amounts.
    """

    name: str
    title: str
    needs: Literal["model", "gradient", "attention", "weights"]
    attribute: Attribute
    is_signed: bool = True
    is_sampled: bool = False


def completeness_error(amounts: Floats, difference: float) -> float:
    return abs(float(amounts.sum()) - difference) / max(abs(difference), 1e-6)
