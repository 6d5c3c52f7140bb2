"""The one place where data meets model: what an example is, its loss, its scores."""

from __future__ import annotations

import json
from abc import ABC, abstractmethod
from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, ClassVar, Protocol, Self

import numpy as np
import torch
from torch import Tensor

from wenlu.config import Config
from wenlu.corpus.packing import Ids, PackedRow, Rows, TokenRows
from wenlu.corpus.shards import TokenData
from wenlu.metrics import Columns, Metric
from wenlu.models import Family, LanguageModel
from wenlu.progress import QUIET, Progress
from wenlu.rundir import atomic
from wenlu.tokenizers import Tokenizer

FILE = "task.json"
IGNORED = -100
"""Target at positions that carry no loss."""


class TaskConfig(Config):
    """The section `[task]`: which task, and its own settings.

    Attributes:
        suits: what the families that the task can train have in common, as a message says it.
    """

    suits: ClassVar[str]
    name: str

    @abstractmethod
    def accepts(self, family: Family) -> bool:
        """Whether models of `family` can be trained for the task."""

    @property
    def special_tokens(self) -> tuple[str, ...]:
        """What the vocabulary must hold besides text, beyond the usual begin, end and padding."""
        return ()

    def tokens_to_add(self, known: Collection[str]) -> tuple[str, ...]:  # noqa: ARG002  (for tasks that teach new ones)
        """Special tokens that a base's vocabulary, whose `known` ones are these, is to get besides."""
        return ()

    @property
    def model_settings(self) -> Mapping[str, Any]:
        """Settings of the family that the task needs, as the head."""
        return {}

    def new_model_settings(self, tokenizer: Tokenizer) -> Mapping[str, Any]:  # noqa: ARG002  (for tasks with own tokens)
        """Those of a model from random weights, where they depend on the numbers of tokens too."""
        return self.model_settings


@dataclass(frozen=True)
class Draw:
    """What a micro-batch is made of.

    Attributes:
        rows: B rows of tokens.
        numbers: (B,) which of all rows ever drawn with `seed` each is; what is random of a row depends on nothing
            else, so that neither a restart nor the size of micro-batches changes it.
        source: where the rows are from, to draw others to compare them with; None: nowhere.
        places: (B,) where in the source they are.
        separate_documents: no position sees another document of its row; False lets attention cross the
            boundaries, as GPT-2 was trained, which is cheaper.
    """

    rows: PackedRow
    numbers: Ids
    seed: int = 0
    source: Rows | None = None
    places: Ids = field(default_factory=lambda: np.empty(0, np.int64))
    separate_documents: bool = True

    @classmethod
    def of(cls, rows: PackedRow, **facts: Any) -> Draw:
        """The rows numbered from 0."""
        return cls(rows, np.arange(len(rows.ids)), **facts)

    @classmethod
    def at(cls, source: Rows, places: Ids, numbers: Ids | None = None, **facts: Any) -> Draw:
        """The rows at `places` of `source`, numbered so where `numbers` are not given."""
        return cls(source.rows(places), places if numbers is None else numbers, source=source, places=places, **facts)

    def generators(self) -> Iterator[np.random.Generator]:
        """The random numbers of each row."""
        return (np.random.default_rng((self.seed, number)) for number in self.numbers.tolist())


@dataclass(frozen=True)
class Batch:
    """Tensors of one forward pass; absent ones are None. Shapes as in `LanguageModel.hidden`.

    Attributes:
        targets: (B, T) or (B, T') token ids, IGNORED where none is asked for.
        labels: (B,) the class of each row.
        chances: (B, T) random numbers from 0 to 1.
        pixel_values: (M, C, H, W) of the pictures that the rows show.
        num_tokens: real ones among the inputs, where the mask does not tell.
    """

    input_ids: Tensor
    targets: Tensor
    attention_mask: Tensor | None = None
    segments: Tensor | None = None
    token_types: Tensor | None = None
    decoder_input_ids: Tensor | None = None
    labels: Tensor | None = None
    chances: Tensor | None = None
    pixel_values: Tensor | None = None
    num_tokens: int | None = None

    def to(self, device: torch.device) -> Batch:
        moved: dict[str, Any] = {
            k: v.to(device, non_blocking=True) for k, v in vars(self).items() if isinstance(v, Tensor)
        }
        return replace(self, **moved)


@dataclass(frozen=True)
class Part:
    """One of the things that an objective asks for: summed nats, how many answers, how many of them right."""

    sum: float
    count: int
    right: int

    def __add__(self, other: Part) -> Part:
        return Part(self.sum + other.sum, self.count + other.count, self.right + other.right)


@dataclass(frozen=True)
class Loss:
    """A summed loss in nats and the number of targets it sums over: never a mean, for only the loop
    knows the global count.

    Attributes:
        parts: what the sum is made of, by name; empty where it is one thing.
        tokens: read for it; None: as many as targets.
    """

    sum: Tensor
    count: int
    parts: Mapping[str, Part] = field(default_factory=dict)
    tokens: int | None = None


@dataclass(frozen=True)
class Totals:
    """Losses of several batches, added up as plain numbers."""

    sum: float = 0.0
    count: int = 0
    tokens: int = 0
    parts: Mapping[str, Part] = field(default_factory=dict)

    @property
    def mean(self) -> float:
        """Nats a target."""
        return self.sum / self.count

    def plus(self, loss: Loss) -> Totals:
        tokens = loss.count if loss.tokens is None else loss.tokens
        return self + Totals(loss.sum.item(), loss.count, tokens, loss.parts)

    def __add__(self, other: Totals) -> Totals:
        none = Part(0.0, 0, 0)
        names = dict.fromkeys([*self.parts, *other.parts])
        return Totals(
            self.sum + other.sum,
            self.count + other.count,
            self.tokens + other.tokens,
            {name: self.parts.get(name, none) + other.parts.get(name, none) for name in names},
        )


@dataclass(frozen=True)
class Reading:
    """One number of a validation."""

    name: str
    value: float
    unit: str


class Predictor(Protocol):
    """Anything that answers examples of a task: a bundle, a linear model, an n-gram, an endpoint."""

    def answer(self, examples: Sequence[Any]) -> list[Any]:
        """One answer for each example, in order."""


class ScoredTask(ABC):
    """Typed example and scores of what a predictor is asked, though nothing is trained for it."""

    name: ClassVar[str]
    example: ClassVar[type]
    metrics: ClassVar[tuple[Metric, ...]]

    @abstractmethod
    def columns(self, examples: Sequence[Any], answers: Sequence[Any]) -> Columns:
        """What the metrics need, one array a name and one entry an example."""


class Task(ABC):
    """Typed example, loss and scores of one thing that models are trained for.

    Attributes:
        settings: the class of its section `[task]`; the task is made of one and the tokenizer.
        target: what the loss is counted in: nats per …, unless `loss_unit` says otherwise.
        ability: what a model trained for it can be asked, as a message says it.
    """

    name: ClassVar[str]
    settings: ClassVar[type[TaskConfig]]
    example: ClassVar[type]
    metrics: ClassVar[tuple[Metric, ...]]
    target: ClassVar[str] = "token"
    ability: ClassVar[str]
    config: TaskConfig

    @property
    def loss_unit(self) -> str:
        return f"nats/{self.target}"

    @abstractmethod
    def __init__(self, config: Any, tokenizer: Tokenizer) -> None:
        """Raises ConfigError where the tokenizer lacks a special token."""

    @abstractmethod
    def batch(self, draw: Draw) -> Batch:
        """Inputs and targets; a pure function of the draw."""

    @abstractmethod
    def loss(self, model: LanguageModel, batch: Batch) -> Loss:
        """Run the forward passes and sum the loss; a teacher or reference model is the task's own."""

    @abstractmethod
    def readings(self, totals: Totals, source: Rows) -> tuple[Reading, ...]:
        """What a validation on rows of `source` found, the main number first, by the name `validation`."""

    def trained(self, model: LanguageModel) -> LanguageModel:
        """What training moves, made of a new model: the model itself, or one that holds others beside it."""
        return model

    def prepared(
        self,
        rows: Rows,
        model: LanguageModel,  # noqa: ARG002  (for tasks that compare with it)
        places: Ids | None = None,  # noqa: ARG002
        *,
        progress: Progress = QUIET,  # noqa: ARG002
    ) -> Rows:
        """The rows with what only the model before its training says of them, or of those at `places` alone: of
        preferences it is the reference."""
        return rows

    def step_readings(self, totals: Totals) -> tuple[Reading, ...]:
        """What of a step is logged beside its loss."""
        if len(totals.parts) < 2:
            return ()
        return tuple(
            Reading(f"{name}.loss", part.sum / max(1, part.count), "nats/target") for name, part in totals.parts.items()
        )

    def set_out(self, trained: LanguageModel, rows: int) -> None:  # noqa: B027  (most begin as they are built)
        """Change what of a model from random weights should begin otherwise, with `rows` in a forward pass."""

    def kept(self, trained: LanguageModel) -> LanguageModel:
        """The model that is saved, of what `trained` gave."""
        return trained

    def save(self, folder: Path, trained: LanguageModel, family: Family) -> None:  # noqa: ARG002  (for other models)
        """Write task.json into the folder of the model, and what else the task needs of what was trained."""
        atomic.write_text(folder / FILE, json.dumps(self.config.model_dump(mode="json"), indent=2) + "\n")

    def restored(self, folder: Path) -> Self:  # noqa: ARG002
        """The task with what `save` wrote besides its settings; raises WeightsError."""
        return self


class TextTask(Task):
    """A task that learns from running text: it reads encoded documents."""

    @abstractmethod
    def rows(self, data: TokenData, context: int) -> TokenRows:
        """The tokens in rows that `batch` reads, such that no forward pass sees more than `context` positions."""
