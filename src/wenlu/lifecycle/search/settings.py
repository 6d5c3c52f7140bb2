"""The section `[tune]` of a recipe: which settings to search, how, and for how long."""

from __future__ import annotations

from typing import Annotated, Any, Literal, Self

from pydantic import Discriminator, Field, PositiveInt, Tag, model_validator

from wenlu.config import Config, DurationField

VALIDATION = "validation"
"""The metric that every run has: the main reading of its validations, which is always better when lower."""


class Range(Config):
    """Numbers from `low` to `high`, both included; whole ones where both are whole.

    With `log` each power of ten is as likely as another; with `step` only `low`, `low + step` and so on.
    """

    low: int | float
    high: int | float
    log: bool = False
    step: int | float | None = None

    @property
    def is_whole(self) -> bool:
        return isinstance(self.low, int) and isinstance(self.high, int)

    @model_validator(mode="after")
    def _spans(self) -> Self:
        if self.low >= self.high:
            raise ValueError(f"low = {self.low} is not less than high = {self.high}; give one value to keep it fixed")
        if self.log and self.low <= 0:
            raise ValueError(f"log = true needs low > 0, not {self.low}")
        if self.log and self.step is not None:
            raise ValueError("log and step exclude each other; remove one")
        if self.step is not None and self.step <= 0:
            raise ValueError(f"step = {self.step} must be greater than 0")
        if self.step is not None and self.is_whole and not isinstance(self.step, int):
            raise ValueError(f"step = {self.step} must be whole, as low and high are")
        return self


def _kind(value: Any) -> str:
    return "range" if isinstance(value, dict | Range) else "choices"


Choices = Annotated[tuple[Any, ...], Field(min_length=2)]
Searched = Annotated[Annotated[Range, Tag("range")] | Annotated[Choices, Tag("choices")], Discriminator(_kind)]


class TuneConfig(Config):
    """A search; what is tried and found goes to a study that any number of calls go on with."""

    space: dict[str, Searched] = Field(default_factory=dict)
    """By key of the recipe, as in overrides: `"optimizer.lr" = {low = 1e-5, high = 1e-3, log = true}`, or a list of
    values to choose from."""
    trials: PositiveInt = 20
    budget: DurationField | None = None
    """A time, as "2 hours", after which no further trial begins."""
    metric: str = VALIDATION
    """What a trial is judged by: the lowest main reading of its validations (the last one without `train.keep_best`),
    or the name of a measure of the task, scored on the validation part."""
    sampler: Literal["tpe", "random", "cma-es"] = "tpe"
    """TPE (Bergstra et al. 2011), draws, or CMA-ES (Hansen & Ostermeier 2001), which is for numbers alone."""
    pruner: Literal["none", "median", "hyperband", "asha"] = "median"
    """Which trials end early, by their validations: those behind the median of the others so far, those that lose in a
    bracket of Hyperband (Li et al. 2018, arXiv:1603.06560), or all that are not promoted by ASHA (Li et al. 2020,
    arXiv:1810.05934), which pauses trials and goes on with the best."""
    reduction: Annotated[int, Field(ge=2)] = 3
    """Of so many trials Hyperband and ASHA let one go on."""
    processes: PositiveInt = 1
    storage: str | None = None
    """Where the study is kept: a URL of SQLAlchemy, as "postgresql+psycopg://…"; by default `study.db` in the folder
    of the search."""
    keep_models: bool = False
    """Keep the model of each trial that was trained to the end, not of the best alone."""

    @model_validator(mode="after")
    def _lasts(self) -> Self:
        if self.budget is not None and self.budget.unit != "seconds":
            raise ValueError(f"budget of {self.budget}: is a time, as '2 hours'; the number of trials is trials")
        ranges = [key for key, searched in self.space.items() if isinstance(searched, Range)]
        if self.sampler == "cma-es" and self.space and (len(ranges) < 2 or len(ranges) < len(self.space)):
            raise ValueError('sampler = "cma-es": searches two or more ranges and no choices; use "tpe" for others')
        return self
