"""A task whose records carry the right answer, by columns."""

from __future__ import annotations

import json
from abc import abstractmethod
from collections.abc import Iterator, Mapping, Sequence
from copy import copy
from dataclasses import dataclass
from typing import Any, ClassVar, Self

from pydantic import Field

from wenlu.config import check
from wenlu.corpus.examples import Examples
from wenlu.corpus.packing import Rows
from wenlu.corpus.ragged import Values
from wenlu.corpus.record import Record
from wenlu.corpus.source import SourceSpec
from wenlu.errors import ConfigError, DataError
from wenlu.metrics import Columns, Metric
from wenlu.models import Family, LanguageModel
from wenlu.tasks.task import Reading, Task, TaskConfig, Totals
from wenlu.tokenizers import Tokenizer


@dataclass(frozen=True)
class Role:
    """Something that an example is made of, and where the user's data has it: `data.label="sentiment"`.

    Attributes:
        column: where it is unless the settings say otherwise.
        is_optional: it may be missing from the data, or from single records.
        is_answer: what a model is to say, so that records to predict need not have it.
        is_long: it has several lines, which a person who types it ends with an empty one.
        is_picture: the column holds paths or bytes of pictures (`SourceSpec.image`).
    """

    name: str
    column: str
    help: str
    is_optional: bool = False
    is_answer: bool = False
    is_long: bool = False
    is_picture: bool = False


class LabelledConfig(TaskConfig):
    """Settings of a task with labelled examples.

    Attributes:
        roles: what an example is made of; the first is the text that records are cleaned and compared by.
        of_answering: settings that a trained model can be asked with other values of.
        columns: the column of each role, as the section `[data]` names it; others have their default.
        target_precision: withhold answers so that of the others so many are right, on the validation part.
        abstain_below: the probability under which an answer is withheld; what `target_precision` came to.
        is_augmentable: whether a text that is changed a little has the same answer.
    """

    roles: ClassVar[tuple[Role, ...]]
    of_answering: ClassVar[tuple[str, ...]] = ("abstain_below",)
    is_augmentable: ClassVar[bool] = False
    columns: dict[str, str] = Field(default_factory=dict)
    target_precision: float | None = Field(default=None, gt=0, lt=1)
    abstain_below: float | None = Field(default=None, ge=0, le=1)

    def column(self, role: str) -> str:
        """The column of the data that holds it."""
        default = next(each.column for each in self.roles if each.name == role)
        return self.columns.get(role, default)

    def read_columns(self) -> tuple[str, ...]:
        """The columns to read besides the first role's: required ones, and optional ones that were named."""
        return tuple(
            self.column(role.name)
            for role in self.roles[1:]
            if not role.is_picture and (not role.is_optional or role.name in self.columns)
        )

    def columns_of(self, spec: SourceSpec) -> tuple[str, ...]:  # noqa: ARG002  (for tasks that read kinds differently)
        """The columns to read from a source besides the first role's."""
        return self.read_columns()

    def counts_characters(self, specs: Sequence[SourceSpec]) -> bool:  # noqa: ARG002  (for tasks that mark spans)
        """Whether answers in these sources say at which characters of the text they are, so that it has to stay."""
        return False

    def told(self, specs: tuple[SourceSpec, ...]) -> tuple[SourceSpec, ...]:
        """Sources that know which columns the task reads; what one `set`s for all its records need not be there."""
        text = self.column(self.roles[0].name)
        return tuple(
            self.source_of(spec).model_copy(
                update={
                    "text": spec.text if "text" in spec.model_fields_set else text,
                    "meta": tuple(
                        dict.fromkeys(name for name in (*spec.meta, *self.columns_of(spec)) if name not in spec.set)
                    ),
                }
            )
            for spec in specs
        )

    def source_of(self, spec: SourceSpec) -> SourceSpec:
        """The source as the task reads it, where that is not by columns."""
        return spec

    def learnt(self, examples: Sequence[Any]) -> Self:  # noqa: ARG002  (for tasks that learn more)
        """The settings with what only the training part tells, as the names of the labels; raises DataError."""
        return self

    def made_for(self, family: Family, context: int) -> Self:  # noqa: ARG002  (for tasks that are done in several ways)
        """The settings with what the family and the length of its rows decide; raises ConfigError."""
        return self

    @property
    def trained_context(self) -> int | None:
        """The length of rows that `made_for` settled, where the task is asked with the same."""
        return None

    def asked(self, settings: Mapping[str, Any]) -> Self:
        """With other settings of answering; raises ConfigError for those that training has settled."""
        for key in settings:
            if key not in self.of_answering:
                known = type(self).model_fields
                what = "was settled in training" if key in known else "is no setting of the task"
                raise ConfigError(f"task.{key}: {what}; what can be asked otherwise: {', '.join(self.of_answering)}")
        return check(type(self), {**self.model_dump(), **settings}, where="[task]")

    def texts_of(self, record: Record) -> Iterator[str]:
        """What of a record a new tokenizer learns from."""
        yield record.text


class LabelledTask(Task):
    """Typed example and answer, and how one becomes the other.

    An example is made of a record by `example_of`. A `ReadingTask` reads its answers off a head; a `GenerativeTask`
    says what to ask and how what was written is read, and the engine, which lies above, writes
    (`generation.answers_to`). The metrics compare the answers, one an example, with what the examples say themselves.

    Attributes:
        is_separable: the loss of a batch is the sum of its examples' own; it is not where they are compared with each
            other.
        converses: people talk with its models in turns, rather than ask them example by example.
    """

    is_separable: ClassVar[bool] = True
    converses: ClassVar[bool] = False
    target: ClassVar[str] = "example"
    config: LabelledConfig

    def __init__(self, config: LabelledConfig, tokenizer: Tokenizer) -> None:
        self.config = config
        self.tokenizer = tokenizer

    @classmethod
    @abstractmethod
    def example_of(cls, record: Record, config: Any) -> Any:
        """The example of a record; what it lacks of an answer is None. Raises DataError that says what is wrong."""

    def asked_example(self, record: Record, config: Any) -> Any:
        """The example of a record that is to be answered, which may know nothing of the answer."""
        return self.example_of(record, config)

    @abstractmethod
    def rows(self, examples: Sequence[Any], context: int) -> Examples:
        """The examples as rows of at most `context` tokens, with their answers where they have them."""

    @abstractmethod
    def measures(self) -> tuple[Metric, ...]:
        """How answers are judged, the most telling metric first."""

    @abstractmethod
    def judged(self, examples: Sequence[Any], answers: Sequence[Any]) -> Columns:
        """What the metrics need, one entry an example."""

    @abstractmethod
    def told(self, answer: Any) -> dict[str, Any]:
        """An answer as plain data: `prediction` first, then how sure it is."""

    def uncalibrated(
        self,
        model: LanguageModel,  # noqa: ARG002  (for tasks that choose among classes)
        examples: Sequence[Any],  # noqa: ARG002
        context: int,  # noqa: ARG002
    ) -> tuple[Values, Values] | None:
        """Logits (n, L) that no temperature has divided, and the right classes (n,), or labels (n, L) of 0 and 1."""
        return None

    def tuned(
        self,
        model: LanguageModel,  # noqa: ARG002  (for tasks that decide by a threshold of their own)
        examples: Sequence[Any],  # noqa: ARG002
        context: int,  # noqa: ARG002
    ) -> Mapping[str, Any]:
        """Settings that only held-out examples tell of a trained model; never those that it is scored on."""
        return {}

    def details(self, columns: Columns) -> dict[str, Any]:  # noqa: ARG002
        """What a report shows beside the scores: tables by class, curves of confidence."""
        return {}

    def asked(self, settings: Mapping[str, Any]) -> Self:
        """The same task with other settings of answering; raises ConfigError for others."""
        return type(self)(self.config.asked(settings), self.tokenizer)

    def with_settings(self, **settings: Any) -> Self:
        """The same task with some other settings."""
        other = copy(self)
        other.config = self.config.model_copy(update=settings)
        return other

    def readings(self, totals: Totals, source: Rows) -> tuple[Reading, ...]:  # noqa: ARG002
        """The loss, and how many are right of what can be counted so."""
        return (
            Reading("validation", totals.sum / max(1, totals.count), self.loss_unit),
            *(
                Reading(f"{name}.accuracy", part.right / max(1, part.count), "fraction")
                for name, part in totals.parts.items()
            ),
        )


def value_of(record: Record, role: str, config: LabelledConfig) -> str | None:
    """What a record holds of a role, as text; None where it has none."""
    if role == config.roles[0].name:
        return record.text
    return record.meta.get(config.column(role))


def required(record: Record, role: str, config: LabelledConfig) -> str:
    """As `value_of`; raises DataError where there is none."""
    value = value_of(record, role, config)
    if value is None:
        raise DataError(f"{record.id}: no {config.column(role)!r}, which {role} is read from")
    return value


def parsed(record: Record, role: str, config: LabelledConfig) -> Any:
    """A value that is not text, as JSON has it; raises DataError."""
    text = required(record, role, config)
    try:
        return json.loads(text)
    except json.JSONDecodeError as error:
        raise DataError(f"{record.id}: {config.column(role)!r} is {text[:60]!r}, not JSON ({error.msg})") from error


def counted(names: Sequence[str]) -> Mapping[str, int]:
    """Names numbered in the order given."""
    return {name: number for number, name in enumerate(names)}
