"""What one may ask of an explanation."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Literal, Self

from pydantic import ConfigDict, NonNegativeInt, PositiveInt, field_validator, model_validator

from wenlu.config import did_you_mean
from wenlu.explanation.baselines import Baseline
from wenlu.explanation.methods import METHODS, EffortConfig
from wenlu.explanation.units import Level

NAMES = tuple(method.name for method in METHODS)


class ExplainConfig(EffortConfig):
    """Settings of `wenlu explain`.

    Attributes:
        method: "auto": a linear model's own terms, of others integrated gradients.
        target: label, tag, trait, span or token that is explained; by default what the model answered. against:
            another, so that what speaks for the one and not the other is told.
        at: of taggers, the word whose tag is explained; by default the first one of the surest entity.
        unit: "auto": words, or characters where the text is Chinese and cannot be cut into words.
        baseline: what stands where tokens are taken out: the mask, padding, the mean of all embeddings, zeros; "auto":
            the mask where there is one, else the mean.
        orders: random ones that faithfulness is held against. randomisations: models with shuffled weights.
        attention: whether weights of all layers and heads are told, too.
        context: tokens that are read at once; by default as the model was trained.
        kind: of a file, where its ending does not tell.
    """

    model_config = ConfigDict(extra="allow")

    method: str = "auto"
    target: str | None = None
    against: str | None = None
    at: str | None = None
    unit: Level | Literal["auto"] = "auto"
    baseline: Baseline = "auto"
    orders: PositiveInt = 40
    randomisations: NonNegativeInt = 5
    attention: bool = False
    context: PositiveInt | None = None
    kind: str = "auto"

    @field_validator("method")
    @classmethod
    def _known(cls, value: str) -> str:
        if value not in ("auto", *NAMES):
            raise ValueError(f"no method {value!r}; {did_you_mean(value, NAMES)}")
        return value

    @model_validator(mode="after")
    def _columns_are_names(self) -> Self:
        for key, value in (self.model_extra or {}).items():
            if not isinstance(value, str):
                known = did_you_mean(key, type(self).model_fields)
                raise ValueError(f"{key}={value!r}: no setting of an explanation ({known}), nor the name of a column")
        return self

    @property
    def columns(self) -> Mapping[str, str]:
        """Columns of a file that are named otherwise than in training."""
        return self.model_extra or {}
