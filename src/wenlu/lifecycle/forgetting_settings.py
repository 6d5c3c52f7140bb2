"""The section `[forgetting]` of a recipe."""

from __future__ import annotations

import re
from typing import Annotated, Any, Self

from pydantic import BeforeValidator, Field, field_validator, model_validator

from wenlu.config import Config
from wenlu.corpus.settings import DataConfig
from wenlu.corpus.sources import SourceList, name_of

_BUDGET = re.compile(r"\s*(\d+(?:\.\d+)?)\s*(nats|%)\s*")


class OlderTask(Config):
    """A model that was trained for a labelled task, which the new one is to be able to do still.

    Attributes:
        model: the run, or the folder, of the base itself or of a model that shares its body.
        test: examples to ask it, with the columns that it was trained with; by default what its run held out.
    """

    model: Annotated[str, Field(min_length=1)]
    test: SourceList = ()


def _as_list(value: Any) -> Any:
    given = [value] if isinstance(value, str | dict | OlderTask) else value
    if not isinstance(given, list | tuple):
        return given
    return [{"model": each} if isinstance(each, str) else each for each in given]


class ForgettingConfig(Config):
    """What a base could do, before and after it is trained further.

    Attributes:
        probes: texts, on which the base's own objective is measured: bits per byte, or hidden tokens found.
        older: labelled tasks of runs of yours.
        old: what the base learnt from, or the like of it, to be learnt again beside the new.
        replay: the share of `old` in what is learnt from.
        budget: how far the loss of the probes may rise: "0.1 nats" of a target, or "5 %" of what it was. Training stops
            at the validation that finds more, and the best weights within the budget are kept (`train.keep_best`).
    """

    probes: SourceList = ()
    older: Annotated[tuple[OlderTask, ...], BeforeValidator(_as_list)] = ()
    old: SourceList = ()
    replay: Annotated[float, Field(ge=0, lt=1)] = 0.0
    budget: str | None = None

    @field_validator("budget")
    @classmethod
    def _is_a_budget(cls, value: str | None) -> str | None:
        if value is not None and not _BUDGET.fullmatch(value):
            raise ValueError(f"{value!r} is no rise of a loss; write '0.1 nats' or '5 %'")
        return value

    @model_validator(mode="after")
    def _belongs_together(self) -> Self:
        if bool(self.old) != bool(self.replay):
            raise ValueError("old and replay belong together: sources, and their share, such as replay = 0.2")
        if self.budget is not None and not self.probes:
            raise ValueError("budget: is of the loss on probes; name texts in probes")
        return self

    def most(self, before: float) -> float | None:
        """Up to which loss the probes may rise from what it was."""
        match = _BUDGET.fullmatch(self.budget or "")
        if match is None:
            return None
        return before + float(match[1]) if match[2] == "nats" else before * (1 + float(match[1]) / 100)

    def with_replay(self, data: DataConfig) -> DataConfig:
        """The data with the old sources, of which nothing is held out, in the share that is asked for."""
        if not self.old:
            return data
        old = tuple(spec.model_copy(update={"is_held_out": False}) for spec in self.old)
        shares = {name_of(spec): self.replay / len(old) for spec in old}
        return data.model_copy(update={"train": (*data.train, *old), "shares": {**data.shares, **shares}})
