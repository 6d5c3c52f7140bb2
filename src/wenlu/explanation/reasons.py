"""Why a verdict is not "valid": a kind and its numbers, so that it can be told in any language."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Literal

Kind = Literal["incomplete", "unsteady", "untold", "chance", "independent"]

ENGLISH: Mapping[Kind, str] = {
    "incomplete": (
        "attributions miss the difference to the baseline by {percent} %; raise max_steps, or choose another baseline"
    ),
    "unsteady": "other seeds rank the units otherwise (correlation {correlation}); raise samples",
    "untold": (
        "{units} units and {orders} random orders do not suffice to tell it from chance; explain smaller units or a "
        "longer text, or raise orders"
    ),
    "chance": (
        "units in its order matter no more than in random orders (p = {p_value}); another method or unit may do"
    ),
    "independent": (
        "it says nearly the same of a model whose weights were shuffled (correlation {correlation}), so it tells of "
        "the text more than of the model"
    ),
}
_FORMATS = {"percent": ".2g", "correlation": ".2f", "p_value": ".2f", "units": "d", "orders": "d"}


@dataclass(frozen=True)
class Reason:
    """Attributes:
    numbers: by the names that stand in braces in the sentence of its kind.
    """

    kind: Kind
    numbers: Mapping[str, float]

    @property
    def written(self) -> dict[str, str]:
        """Its numbers as sentences hold them."""
        return {name: format(number, _FORMATS[name]) for name, number in self.numbers.items()}

    def __str__(self) -> str:
        return ENGLISH[self.kind].format(**self.written)
