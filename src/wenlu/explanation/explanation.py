"""An explanation: what was answered, what speaks for it, and what that is worth."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np

from wenlu.explanation.certificate import Certificate
from wenlu.explanation.subject import Part, Told


@dataclass(frozen=True)
class Attributed:
    """A unit of a text, and what it has to do with the answer; None of one that the model did not read."""

    part: str
    text: str
    start: int
    end: int
    attribution: float | None
    error: float | None = None


@dataclass(frozen=True)
class AttentionMap:
    """Weights (L, N, T, T) of each layer and head over the tokens of a row; of several rows the first.

    Attributes:
        tokens: what each is, those around the text included.
    """

    weights: np.ndarray[Any, np.dtype[np.float32]]
    tokens: tuple[str, ...]


@dataclass(frozen=True)
class Explanation:
    """Attributes:
    id: of the record, or "text". elsewhere: what is owed to no unit, by name. is_signed: whether amounts speak for
        and against. seconds: that it took.
    """

    id: str
    told: Told
    parts: tuple[Part, ...]
    attributions: tuple[Attributed, ...]
    certificate: Certificate
    elsewhere: tuple[tuple[str, float], ...]
    is_signed: bool
    seconds: float
    attention: AttentionMap | None = None

    def as_json(self) -> dict[str, Any]:
        """One object, as `wenlu explain --json` prints it."""
        certificate = asdict(self.certificate)
        faithfulness = certificate.pop("faithfulness")
        certificate["reasons"] = tuple(str(reason) for reason in self.certificate.reasons)
        found: dict[str, Any] = {
            "id": self.id,
            "task": self.told.task,
            **self.told.answer,
            "explained": {
                "target": self.told.target,
                "against": self.told.against,
                "value": self.told.value,
                "chance": self.told.chance,
            },
            "texts": {part.name: part.text for part in self.parts},
            "attributions": [_plain(each) for each in self.attributions],
            "elsewhere": [{"name": name, "attribution": amount} for name, amount in self.elsewhere],
            "certificate": {**certificate, **faithfulness},
            "seconds": round(self.seconds, 3),
        }
        if self.attention is not None:
            found["attention"] = {
                "tokens": list(self.attention.tokens),
                "weights": np.round(self.attention.weights.astype(np.float64), 4).tolist(),
            }
        return found

    def _repr_html_(self) -> str:
        from wenlu.explanation.page import fragment

        return fragment(self)


def _plain(each: Attributed) -> dict[str, Any]:
    found = asdict(each)
    if each.error is None:
        del found["error"]
    return found


def strongest(attributions: Sequence[Attributed]) -> float:
    """The largest amount, by which colours are scaled; 1 where there is none."""
    return max((abs(each.attribution) for each in attributions if each.attribution is not None), default=0.0) or 1.0
