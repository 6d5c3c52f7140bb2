"""Settings of the data: what to read, how to clean it, how to hold records out."""

from __future__ import annotations

from typing import Annotated, Any, Literal

from pydantic import Discriminator, Field, PositiveFloat, PositiveInt, Tag, field_validator, model_validator

from wenlu.config import Config, did_you_mean
from wenlu.corpus.sources import SourceList, SourceSpec, name_of
from wenlu.corpus.split import SplitBy
from wenlu.corpus.steps import StepList, read_step

RESERVED = ("id", "text", "cluster")
"""Keys of a written record that no meta column may have."""


def _kind_of_held_out(value: Any) -> str:
    return "fraction" if isinstance(value, int | float) else "sources"


HeldOut = Annotated[
    Annotated[float, Field(ge=0, lt=1), Tag("fraction")] | Annotated[SourceList, Tag("sources")],
    Discriminator(_kind_of_held_out),
]
"""A fraction of the training sources' records, or sources of its own."""


class DataConfig(Config):
    """What to read, how to clean it, and how to hold records out."""

    train: SourceList
    validation: HeldOut = 0.05
    test: HeldOut = 0.05
    steps: StepList = (read_step("repair"), read_step("exact-dedup"))
    """Run in this order over every source, those of given held-out files too."""

    split_by: SplitBy = "near-duplicates"
    """What must not lie on both sides: clusters of near-duplicates; groups (`group`) and those clusters; or times
    (`time`): the latest records are held out. `"picture"` keeps together what shows the same picture alone, for
    questions and labels that many pictures share. `"random"` draws single records, and leaks where texts are alike.
    """
    group: str | None = None
    """Name of the meta column with the group: author, conversation, document, …"""
    time: str | None = None
    """Name of the meta column with the time: ISO 8601, or a number."""
    near_duplicate_threshold: Annotated[float, Field(ge=0.3, lt=1)] = 0.5
    """Jaccard similarity of 5-word shingles (5 characters in Chinese) from which records count as near-duplicates here.
    It is lower than that of the step `near-dedup`: what may stay in training may still be too alike to test on.
    """
    decontaminate: bool = True
    """Drop training records with a near-duplicate in given held-out files, or later in a split by time."""

    temperature: PositiveFloat | None = None
    """T of w_i n_i^(1/T), the share of source i, with n_i training records and the weight w_i, in what is learnt from:
    records of small sources come again. 1 keeps the sizes, but for weights; a large T gives all the same share."""
    shares: dict[str, Annotated[float, Field(gt=0, lt=1)]] = Field(default_factory=dict)
    """By the name of a source: its share of what is learnt from, whatever its size; its records come again, or some of
    them do not come. The other sources have the rest."""
    without: tuple[str, ...] = ()
    """Names of sources whose training records are left out, once the others are held out: what does a source buy?"""
    fraction: Annotated[float, Field(gt=0, le=1)] = 1.0
    """Train on this share of the training part, for learning curves: drawn by a hash of the text once the others are
    held out, so that these stay as they are, and a smaller share is inside a larger one."""

    max_bad_fraction: Annotated[float, Field(ge=0, le=1)] = 0.001
    """Of the records of a part: so many may lack what a labelled task needs, and are left out; more are an error."""
    keep_dropped: bool = False
    """Write every dropped record, with step and reason, to dropped.jsonl.gz."""
    workers: Literal["auto"] | PositiveInt = "auto"
    """Processes for the work on single records; results do not depend on it."""
    worker_timeout_seconds: PositiveFloat = 900.0
    """After so long without an answer about some hundred records a process writes where it is and is replaced; when its
    replacement hangs at the same records, the run stops."""

    @field_validator("train")
    @classmethod
    def _some(cls, value: tuple[SourceSpec, ...]) -> tuple[SourceSpec, ...]:
        if not value:
            raise ValueError("an empty list; name at least one file, folder or dataset")
        return value

    @model_validator(mode="after")
    def _consistent(self) -> DataConfig:
        for by in ("group", "time"):
            column = getattr(self, by)
            if self.split_by == by and column is None:
                raise ValueError(f'split_by = "{by}" needs {by} = "…", the name of a column')
            if self.split_by != by and column is not None:
                raise ValueError(f'{by} = {column!r} is set but not used; set split_by = "{by}" too')
        fractions = sum(part for part in (self.validation, self.test) if isinstance(part, float))
        if fractions >= 1:
            raise ValueError(f"validation and test together take {fractions:g} of the records; leave some for training")
        names = [name_of(spec) for spec in self.train]
        for key in ("without", "shares"):
            strangers = [name for name in getattr(self, key) if name not in names]
            if strangers:
                raise ValueError(f"{key}: no source {strangers[0]!r} in train; {did_you_mean(strangers[0], names)}")
        if sum(self.shares.values()) >= 1:
            raise ValueError(f"shares: come to {sum(self.shares.values()):g}; leave some for the other sources")
        if len({*names} - {*self.without}) == 0:
            raise ValueError("without: names all sources of train; leave one to learn from")
        for spec in self.all_sources():
            taken = sorted(set(spec.meta) & set(RESERVED))
            if taken:
                way = 'records take it over with id = "id"' if taken[0] == "id" else "rename it"
                raise ValueError(f"meta column {taken[0]!r} of {spec.path} is a name of Wenlu's own; {way}")
        return self

    def all_sources(self) -> tuple[SourceSpec, ...]:
        """The sources of all splits."""
        given = [part for part in (self.validation, self.test) if isinstance(part, tuple)]
        return self.train + tuple(spec for specs in given for spec in specs)
