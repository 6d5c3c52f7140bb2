"""The section `[folds]`: how a recipe is cross-validated by `wenlu evaluate`."""

from __future__ import annotations

from typing import Annotated, Any, Self

from pydantic import Field, model_validator

from wenlu.config import Config

Share = Annotated[float, Field(gt=0, le=1)]


class FoldsConfig(Config):
    """Train on all folds but one and score on that one, for each; the test part stays unread.

    Folds divide as `data.split_by` says: near-duplicates and groups stay together, and by time the later is held out.
    """

    count: Annotated[int, Field(ge=2, le=100)] = 5
    take: Annotated[int, Field(ge=1)] | None = None
    """Only so many of the folds, for a first look."""
    seeds: Annotated[int, Field(ge=1, le=100)] = 1
    """Do it so often, with `seed`, `seed` + 1, …: other folds, other initial weights, another order."""
    stratify: bool = True
    """Give each fold its share of each label, or of small and large numbers."""
    fractions: Annotated[tuple[Share, ...], Field(min_length=1)] = (1.0,)
    """A learning curve: train on these parts of each fold's training part, the smaller within the larger."""
    choose: dict[str, Annotated[tuple[Any, ...], Field(min_length=2)]] = Field(default_factory=dict)
    """Nested: settings and the values among which each fold chooses by folds within its training part."""
    inner: Annotated[int, Field(ge=2, le=100)] = 3
    """How many folds choose."""

    @model_validator(mode="after")
    def _consistent(self) -> Self:
        if self.take is not None and self.take > self.count:
            raise ValueError(f"take: {self.take} of {self.count} folds; set at most {self.count}")
        if list(self.fractions) != sorted(set(self.fractions)):
            raise ValueError(f"fractions: {list(self.fractions)} do not rise; write them as [0.1, 0.3, 1.0]")
        if self.choose and len(self.fractions) > 1:
            raise ValueError("choose: is for one fraction; remove folds.fractions")
        return self
