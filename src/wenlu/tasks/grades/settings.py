"""Which scores texts get, and how one is read of a record."""

from __future__ import annotations

import json
import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, ClassVar, Literal, Self

import numpy as np
from pydantic import Field, field_validator, model_validator

from wenlu.corpus.record import Record
from wenlu.errors import DataError
from wenlu.tasks.labelled.layout import Part
from wenlu.tasks.labelled.reading import ReadingConfig
from wenlu.tasks.labelled.task import Role, parsed, value_of

MOST_GRADES = 200
"""Of an ordinal head, which has a threshold between any two."""
Scale = tuple[float, float]


@dataclass(frozen=True)
class ScoredText:
    """A text, the score of each trait (None: unknown), and which prompt it answers."""

    text: str
    scores: tuple[float, ...] | None = None
    prompt: str | None = None
    id: str = ""


class GradingConfig(ReadingConfig):
    """What is graded, on which scale, and how.

    Attributes:
        traits: names of what is graded, where it is more than one thing; a score is then a JSON object by these names,
            or a list in this order.
        scale: lowest and highest score, [1, 6], or one such pair for each trait; by default what the training part has.
        step: between two grades; 0 where scores are continuous.
        head: "regression" learns the number itself; "ordinal" the probability of each grade.
        long: what is read of a text that is longer than `train.context`, as in text classification; of windows the
            outputs are averaged.
    """

    suits: ClassVar[str] = "families that read text"
    class_head: ClassVar[str | None] = "sequence-classification"
    is_augmentable: ClassVar[bool] = True
    of_answering: ClassVar[tuple[str, ...]] = ("abstain_below", "long")
    roles: ClassVar[tuple[Role, ...]] = (
        Role("text", "text", "the text"),
        Role("prompt", "prompt", "which prompt or set it answers, to judge each by itself", is_optional=True),
        Role("score", "score", "its score, or an object or list of scores", is_answer=True),
    )
    name: Literal["grading"] = "grading"
    traits: tuple[str, ...] = ()
    scale: tuple[Scale, ...] | Literal["auto"] = "auto"
    step: float = Field(default=1.0, ge=0)
    head: Literal["regression", "ordinal"] = "regression"
    long: Part = "head"

    @field_validator("scale", mode="before")
    @classmethod
    def _one_pair(cls, value: Any) -> Any:
        is_pair = isinstance(value, list | tuple) and len(value) == 2
        return [value] if is_pair and all(isinstance(end, int | float) for end in value) else value

    @model_validator(mode="after")
    def _fits(self) -> Self:
        if len(set(self.traits)) < len(self.traits):
            raise ValueError(f"traits: one stands twice in {', '.join(self.traits)}")
        if self.head == "ordinal" and self.step == 0:
            raise ValueError('head: "ordinal" is for grades, but step = 0 says that scores are continuous')
        if isinstance(self.scale, str):
            return self
        if len(self.scale) not in (1, self.outputs):
            raise ValueError(f"scale: {len(self.scale)} pairs for {self.outputs} scores; give one, or one for each")
        for low, high in self.scale:
            if low >= high:
                raise ValueError(f"scale: from {low:g} to {high:g} is none; write [LOW, HIGH]")
            if self.step and not _is_whole((high - low) / self.step):
                raise ValueError(f"scale: from {low:g} steps of {self.step:g} do not end at {high:g}; set step")
        return self

    @property
    def unlike_a_class(self) -> str | None:
        return "none grades by thresholds; take a regression head" if self.head == "ordinal" else super().unlike_a_class

    @property
    def outputs(self) -> int:
        """How many scores a text gets."""
        return max(1, len(self.traits))

    @property
    def scales(self) -> tuple[Scale, ...]:
        """That of each score; none before `learnt`."""
        if isinstance(self.scale, str):
            return ()
        return self.scale * self.outputs if len(self.scale) == 1 else self.scale

    @property
    def grades(self) -> tuple[int, ...]:
        """How many grades each score can have; of continuous ones 0."""
        return tuple(round((high - low) / self.step) + 1 if self.step else 0 for low, high in self.scales)

    def learnt(self, examples: Sequence[ScoredText]) -> Self:
        bare = next((example.id for example in examples if example.scores is None), None)
        if bare is not None or not examples:
            raise DataError(f"{bare or 'the training part'}: no {self.column('score')!r}, which score is read from")
        scores = np.array([example.scores for example in examples])
        scales = self.scales or tuple(zip(scores.min(axis=0).tolist(), scores.max(axis=0).tolist(), strict=True))
        for low, high in scales:
            if low >= high:
                raise DataError(f"all texts of the training part have the score {low:g}; there is nothing to learn")
        config = self.model_copy(update={"scale": scales})
        if self.head == "ordinal" and max(config.grades) > MOST_GRADES:
            raise DataError(f"{max(config.grades):,} grades are too many for an ordinal head; use a regression head")
        return config


def scores_of(record: Record, config: GradingConfig) -> tuple[float, ...] | None:
    if value_of(record, "score", config) is None:
        return None
    found = parsed(record, "score", config)
    match found:
        case dict() if config.traits:
            missing = [trait for trait in config.traits if trait not in found]
            if missing:
                raise DataError(f"{record.id}: no score of {missing[0]!r}, only of {', '.join(map(repr, found))}")
            numbers = [found[trait] for trait in config.traits]
        case list() if config.traits and len(found) == len(config.traits):
            numbers = found
        case dict() | list():
            names = ", ".join(config.traits) or "none"
            raise DataError(
                f"{record.id}: score {json.dumps(found, ensure_ascii=False)[:60]} is of several traits, but "
                f"task.traits names {names}; name each of them"
            )
        case _:
            numbers = [found]
    if len(numbers) != config.outputs:
        raise DataError(f"{record.id}: one score, {json.dumps(found)[:60]}, but traits {', '.join(config.traits)}")
    for trait, number in enumerate(numbers):
        _check(number, trait, config, record.id)
    return tuple(float(number) for number in numbers)


def _check(number: Any, trait: int, config: GradingConfig, where: str) -> None:
    """Refuse what is no number, or no grade of the scale."""
    if isinstance(number, bool) or not isinstance(number, int | float) or not math.isfinite(number):
        raise DataError(f"{where}: score {json.dumps(number, ensure_ascii=False)[:60]} is no number")
    if not config.step:
        return
    low, high = config.scales[trait] if config.scales else (0.0, math.inf)
    if config.scales and not low <= number <= high:
        raise DataError(
            f"{where}: score {number:g} is outside the scale {low:g} to {high:g}; give the whole one: "
            "task.scale=[LOW, HIGH]"
        )
    if not _is_whole((number - low) / config.step):
        raise DataError(
            f"{where}: score {number:g} is no grade in steps of {config.step:g} from {low:g}; scores that are "
            "continuous are learnt with task.step=0"
        )


def _is_whole(value: float) -> bool:
    return abs(value - round(value)) < 1e-6
