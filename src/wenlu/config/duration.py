"""Durations as text: "10M tokens", "3 epochs", "2000 steps", "20 minutes"."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Annotated, Literal

from pydantic import BeforeValidator, PlainSerializer

Unit = Literal["tokens", "epochs", "steps", "seconds"]

_FORM = re.compile(r"\s*([0-9]+(?:\.[0-9]+)?(?:[eE][0-9]+)?)\s*([kKMBG]?)\s*([A-Za-z]+)\s*")
_SCALE = {"": 1.0, "k": 1e3, "K": 1e3, "M": 1e6, "B": 1e9, "G": 1e9}
_UNITS: dict[str, tuple[Unit, float]] = {
    "token": ("tokens", 1),
    "epoch": ("epochs", 1),
    "step": ("steps", 1),
    "second": ("seconds", 1),
    "minute": ("seconds", 60),
    "hour": ("seconds", 3600),
}


@dataclass(frozen=True)
class Duration:
    """How long to train: an amount and its unit."""

    amount: float
    unit: Unit

    def __str__(self) -> str:
        return f"{self.amount:g} {self.unit}" if self.amount < 1e6 else f"{self.amount:.0f} {self.unit}"


def parse_duration(text: str) -> Duration:
    """Read a duration; raises ValueError with the accepted forms."""
    match = _FORM.fullmatch(text)
    unit = _UNITS.get(match.group(3).lower().removesuffix("s")) if match else None
    if match is None or unit is None:
        raise ValueError(
            f"{text!r} is not a duration; write for example '10M tokens', '3 epochs', '2000 steps', '20 minutes'"
        )
    amount = float(match.group(1)) * _SCALE[match.group(2)] * unit[1]
    if amount <= 0:
        raise ValueError(f"{text!r} lasts no time; a duration must be greater than 0")
    return Duration(amount, unit[0])


def _coerce(value: object) -> object:
    return parse_duration(value) if isinstance(value, str) else value


DurationField = Annotated[Duration, BeforeValidator(_coerce), PlainSerializer(str, return_type=str)]
"""A settings field that is written as text and read as a `Duration`."""
