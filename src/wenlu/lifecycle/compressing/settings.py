"""What a recipe of compression says."""

from __future__ import annotations

from typing import Annotated, Literal, Self

from pydantic import Field, PositiveInt, field_validator, model_validator

from wenlu.compression.methods import Chain, label_of
from wenlu.config import Config
from wenlu.corpus.sources import SourceList
from wenlu.evaluation import EvaluateConfig
from wenlu.lifecycle.parity import ParitySettings


class TextsConfig(Config):
    """The section `[data]`; what is not given is that of the run which `model` names.

    Attributes:
        train: texts that methods read to see what matters.
        test: texts that the models are judged by; of a labelled task its examples.
    """

    train: SourceList = ()
    test: SourceList = ()


class SweepConfig(Config):
    """The section `[compress]`.

    Attributes:
        methods: chains of steps, each of which makes a folder: "rtn-int8", "wanda-0.5+gptq-int4", or lists of tables as
            {method = "gptq", bits = 4, group_size = 32}.
        texts: so many training texts are drawn for methods that read some, by the seed.
        text_tokens: of each, from its beginning.
        measure: how fast each model answers and what memory it takes, each in a process of its own.
        measured_tokens: so many tokens are read, and written, for that.
        accept_divergence: keep what answers too unlike its model; parity.json and the card then say so.
    """

    methods: tuple[Chain, ...] = Field(min_length=1)
    texts: PositiveInt = 64
    text_tokens: PositiveInt = 256
    measure: bool = True
    measured_tokens: Annotated[int, Field(ge=8, le=4096)] = 64
    accept_divergence: bool = False

    @field_validator("methods", mode="before")
    @classmethod
    def _one_or_several(cls, value: object) -> object:
        return [part.strip() for part in value.split(",")] if isinstance(value, str) else value

    @model_validator(mode="after")
    def _differ(self) -> Self:
        labels = [label_of(chain) for chain in self.methods]
        twice = sorted({label for label in labels if labels.count(label) > 1})
        if twice:
            raise ValueError(f"methods: {twice[0]} stands there more than once")
        return self


class CompressConfig(Config):
    """What `wenlu compress` reads.

    Attributes:
        model: a run, a folder, a package or a hub id.
        language: of the model cards.
        task: one of several tasks that the model was trained for.
    """

    name: Annotated[str, Field(min_length=1)]
    model: str
    language: Literal["en", "zh"] = "en"
    seed: Annotated[int, Field(ge=0, lt=2**63)] = 0
    task: str | None = None
    data: TextsConfig = TextsConfig()
    compress: SweepConfig
    evaluate: EvaluateConfig = EvaluateConfig()
    parity: ParitySettings = ParitySettings()
