"""The labels that a classifying model gives, named as Hugging Face configs do."""

from __future__ import annotations

from typing import Any, Self

from pydantic import Field, model_validator

from wenlu.config import Config
from wenlu.models.family import ModelConfig

_TWO = {0: "LABEL_0", 1: "LABEL_1"}


class Labels(Config):
    """`id2label` names the outputs of a classifier in their order; `label2id` and `num_labels` follow from it."""

    id2label: dict[int, str] = Field(default_factory=_TWO.copy, min_length=1)
    label2id: dict[str, int] = Field(default_factory=lambda known: _inverse(known.get("id2label", _TWO)))

    @property
    def num_labels(self) -> int:
        return len(self.id2label)

    @model_validator(mode="before")
    @classmethod
    def _number_of_labels(cls, data: Any) -> Any:
        if not isinstance(data, dict) or "num_labels" not in data:
            return data
        rest = {key: value for key, value in data.items() if key != "num_labels"}
        number, names = data["num_labels"], rest.get("id2label")
        if not isinstance(number, int) or not 1 <= number <= 2**16:
            raise ValueError(f"num_labels must be a number from 1 to {2**16}, not {number!r}")
        if names is None:
            return {**rest, "id2label": {index: f"LABEL_{index}" for index in range(number)}}
        if len(names) != number:
            raise ValueError(f"num_labels {number} contradicts the {len(names)} names of id2label")
        return rest

    @model_validator(mode="after")
    def _labels_are_named_once(self) -> Self:
        if sorted(self.id2label) != list(range(self.num_labels)):
            raise ValueError(f"id2label numbers its labels {sorted(self.id2label)}, not 0 to {self.num_labels - 1}")
        if self.label2id != _inverse(self.id2label) or len(self.label2id) != self.num_labels:
            raise ValueError("label2id is not the inverse of id2label; leave it out, it follows")
        return self


class LabelledConfig(Labels, ModelConfig):
    """Settings of a language model with labels."""


def _inverse(names: dict[int, str]) -> dict[str, int]:
    return {name: index for index, name in names.items()}
