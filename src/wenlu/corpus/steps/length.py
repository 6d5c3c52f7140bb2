"""Drop texts that are too short or too long."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from pydantic import NonNegativeInt, PositiveInt, model_validator

from wenlu.corpus.record import Drop, Item, Record, Step
from wenlu.corpus.step import RecordStep, StepConfig, StepKind, Workroom


class LengthConfig(StepConfig):
    """Bounds in characters, white space at the ends not counted; both are inside."""

    step: Literal["length"] = "length"
    min_characters: NonNegativeInt = 1
    max_characters: PositiveInt | None = None

    @model_validator(mode="after")
    def _ordered(self) -> LengthConfig:
        if self.max_characters is not None and self.max_characters < self.min_characters:
            raise ValueError(f"max_characters {self.max_characters} is less than min_characters {self.min_characters}")
        return self


@dataclass(frozen=True)
class _Measure:
    config: LengthConfig

    def __call__(self, record: Record) -> Item:
        characters = len(record.text.strip())
        if characters < self.config.min_characters:
            return Drop(record, "length", "too short")
        if self.config.max_characters is not None and characters > self.config.max_characters:
            return Drop(record, "length", "too long")
        return record


def build(config: LengthConfig, room: Workroom) -> Step:  # noqa: ARG001
    return RecordStep("length", _Measure(config))


STEP = StepKind("length", LengthConfig, build)
