"""Predict with a model of a labelled task: an example a row in, its answer a JSON object a line out."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import closing
from dataclasses import dataclass, field, replace
from functools import partial
from itertools import chain, islice
from pathlib import Path
from typing import IO, Any, BinaryIO, Literal, TypeVar

from pydantic import ConfigDict, Field, PositiveInt, field_validator, model_validator

from wenlu.bundle import Bundle, model_path
from wenlu.config import did_you_mean
from wenlu.corpus.examples import Examples
from wenlu.corpus.pictures.format import claims_picture
from wenlu.corpus.record import Drop, Record
from wenlu.corpus.source import SourceSpec
from wenlu.corpus.sources import open_source
from wenlu.errors import DataError, UsageError, WenluError
from wenlu.generation.ahead import prepared_ahead
from wenlu.generation.answering import answers_to, sampling_of
from wenlu.generation.inputs import is_dataset
from wenlu.generation.predict import PredictSummary, answer_rows, model_fingerprint
from wenlu.generation.rows import BadRow, Row, read_rows
from wenlu.generation.settings import SamplingConfig
from wenlu.generation.squad_answers import write_as_squad
from wenlu.models.weights import read_config
from wenlu.models.weights.files import config_path, read_json
from wenlu.progress import QUIET, Progress
from wenlu.tasks import (
    LABELLED_TASKS,
    MULTI_TASKS,
    Embedding,
    GenerativeTask,
    LabelledTask,
    MultiTask,
    PicturedTask,
    QuestionAnswering,
    ReadingTask,
)
from wenlu.tasks.labelled.published import is_of_class
from wenlu.tasks.task import FILE

T = TypeVar("T")

LONGEST = 512
READ_TOGETHER = 512
"""Rows that a model reads together, those of about one length side by side; one that writes takes `rows`."""


class AnsweringConfig(SamplingConfig):
    """Settings of `wenlu predict` for a model of a labelled task; columns of the file are named as `text=COLUMN`.

    Those of `[generate]` are for tasks that write; what is not said is as the model's generation_config.json says.

    Attributes:
        rows: read and answered together; what is written goes on after as many. Unless it is said, a model that writes
            no text takes more of them (512).
        abstain_below: say `null` where the probability of an answer is less; by default as training found it.
        labels: what a model that matches texts and pictures names pictures with: a list with commas, or a text file
            with a label a line.
        keep: columns of the file to say again beside the answer, `text` where it has none.
        max_bad_fraction: of the file's records, so many may be unreadable; each is told in its place.
        split: of a Hugging Face dataset. subset: which of its configurations, where it has several.
        layout: of the output: an object a line, or for answers to questions SQuAD's, one object from id to answer;
            "auto" is SQuAD's where `--out` ends in .json.
    """

    model_config = ConfigDict(extra="allow")

    rows: PositiveInt = 256
    context: PositiveInt | None = None
    abstain_below: float | None = Field(default=None, ge=0, le=1)
    kind: str = "auto"
    labels: tuple[str, ...] = ()
    keep: tuple[str, ...] = ()
    layout: Literal["auto", "lines", "squad"] = "auto"
    max_bad_fraction: float = Field(default=1.0, ge=0, le=1)
    split: str = "train"
    subset: str = ""

    @field_validator("keep", mode="before")
    @classmethod
    def _one_or_several(cls, value: Any) -> Any:
        return [name.strip() for name in value.split(",")] if isinstance(value, str) else value

    @field_validator("labels", mode="before")
    @classmethod
    def _listed(cls, value: Any) -> Any:
        if not isinstance(value, str):
            return value
        path = Path(value)
        return [
            label.strip()
            for label in (
                path.read_text(encoding="utf-8").splitlines()
                if path.suffix == ".txt" and path.is_file()
                else value.split(",")
            )
            if label.strip()
        ]

    @model_validator(mode="after")
    def _columns_are_names(self) -> AnsweringConfig:
        for key, value in self.columns.items():
            if not isinstance(value, str):
                raise ValueError(f"{key}={value!r}: the name of a column is text")
        return self

    @property
    def columns(self) -> Mapping[str, Any]:
        return self.model_extra or {}

    @property
    def given(self) -> Mapping[str, Any]:
        """What is said of how to write."""
        return {name: getattr(self, name) for name in SamplingConfig.model_fields if name in self.model_fields_set}


def answers_examples(bundle: Bundle) -> bool:
    """Whether the model was trained for a labelled task; raises UsageError where for several and none is chosen."""
    if isinstance(bundle.task, MultiTask):
        members = ", ".join(f"{name} ({member.name})" for name, member in bundle.task.members.items())
        raise UsageError(f"{bundle.path}: does several tasks; choose one with task=NAME: {members}")
    return isinstance(bundle.task, LabelledTask)


def value_of(key: str, overrides: Sequence[str]) -> tuple[str | None, list[str]]:
    """What `KEY=VALUE` says, as `task=NAME` of one task among several, and the other settings."""
    named = [item for item in overrides if item.partition("=")[0].strip() == key]
    others = [item for item in overrides if item not in named]
    return (named[-1].partition("=")[2].strip() if named else None), others


def is_labelled(path_or_id: str) -> bool:
    """Whether a model that is not read yet answers examples, of one task or several, and does not talk in turns; False
    for what is no model, of which `load` says why."""
    try:
        path = model_path(path_or_id)
        file = path / FILE
        if not file.is_file():
            return path.is_dir() and is_of_class(read_config(path)[1], read_json(config_path(path)))
    except WenluError:
        return False
    name = json.loads(file.read_text(encoding="utf-8")).get("name")
    return name in {task.name for task in (*LABELLED_TASKS, *MULTI_TASKS) if not getattr(task, "converses", False)}


def predict_answers(
    bundle: Bundle,
    source: Path | BinaryIO,
    out: Path | IO[str],
    config: AnsweringConfig,
    *,
    overwrite: bool = False,
    progress: Progress = QUIET,
) -> PredictSummary:
    """Write one line of JSON for each record of `source`, a file of any format that data are read from, or the lines
    of standard input; an `out` that was interrupted goes on.

    Of questions it may be one object in SQuAD's layout instead, written once all are answered.

    Raises UsageError for a column that the task has not; DataError for a file that cannot be read.
    """
    bundle = with_labels(bundle, config.labels)
    task = _task(bundle)
    if config.given and not isinstance(task, GenerativeTask):
        raise UsageError(f"{next(iter(config.given))}: {task.name} writes no text, so there is nothing to generate")
    rows = rows_of(task, source, config)
    if wants_squad(task, out, config):
        return write_as_squad(answer_examples(bundle, rows, config), out, overwrite=overwrite, progress=progress)
    return answer_rows(
        rows,
        source,
        out,
        signature(bundle, config),
        partial(answer_examples, bundle, config=config),
        window=_window_of(task, config),
        are_vectors=isinstance(task, Embedding),
        overwrite=overwrite,
        progress=progress,
    )


def with_labels(bundle: Bundle, labels: Sequence[str]) -> Bundle:
    """The model, asked which of these a picture shows; raises ConfigError for a task that chooses among none."""
    return replace(bundle, task=_task(bundle).asked({"labels": list(labels)})) if labels else bundle


def _window_of(task: LabelledTask, config: AnsweringConfig) -> int:
    is_said = "rows" in config.model_fields_set or not isinstance(task, ReadingTask)
    return config.rows if is_said else READ_TOGETHER


def wants_squad(task: LabelledTask, out: Path | IO[str], config: AnsweringConfig) -> bool:
    """Raises UsageError where the task answers no questions."""
    if isinstance(task, QuestionAnswering):
        return config.layout == "squad" or (
            config.layout == "auto" and isinstance(out, Path) and out.suffix.lower() == ".json"
        )
    if config.layout == "squad":
        raise UsageError(f"layout='squad': is for answers to questions, and {task.name} gives others; remove it")
    return False


def answer_examples(bundle: Bundle, rows: Iterable[Row | BadRow], config: AnsweringConfig) -> Iterator[dict[str, Any]]:
    """One object a row, in order: `prediction` and how sure it is, or `error`.

    A thread reads and encodes the next rows while the model is at work.
    """
    bundle = with_labels(bundle, config.labels)
    task, mark = _task(bundle), signature(bundle, config)
    longest = min(bundle.config.context or LONGEST, LONGEST)
    context = config.context or task.config.trained_context or longest
    sampling = sampling_of(bundle, config.given)
    with closing(prepared_ahead(_windows(task, iter(rows), config, context))) as windows:
        for window in windows:
            if window.source is None:
                _part_from_bad(window, lambda examples: _can_be_asked(task, examples, context))
                answers = answers_to(bundle, window.examples, context, sampling)
            else:
                assert isinstance(task, ReadingTask), "rows are made for tasks that read"
                answers = task.answer_rows(bundle.model, window.examples, window.source)
            for place, answer in zip(window.places, answers, strict=True):
                below = task.config.abstain_below if config.abstain_below is None else config.abstain_below
                window.lines[place] |= abstained(task.told(answer), below)
            yield from ({**line, "signature": mark} for line in window.lines)


@dataclass
class _Window:
    """Rows that are answered together.

    Attributes:
        lines: what is written of each row. places: of the examples among them.
        source: the examples as rows of ids, where nothing more is asked of them.
    """

    lines: list[dict[str, Any]]
    examples: list[Any] = field(default_factory=list)
    places: list[int] = field(default_factory=list)
    source: Examples | None = None


def _windows(
    task: LabelledTask, rows: Iterator[Row | BadRow], config: AnsweringConfig, context: int
) -> Iterator[_Window]:
    settings = task.config.model_copy(update={"columns": {**task.config.columns, **config.columns}})
    while taken := list(islice(rows, _window_of(task, config))):
        window = _Window([{"id": row.id} for row in taken])
        for place, row in enumerate(taken):
            line = window.lines[place]
            if isinstance(row, BadRow):
                line["error"] = row.error
                continue
            texts = {"text": row.prompt, settings.column(settings.roles[0].name): row.prompt}
            line |= {name: row.meta.get(name, texts.get(name)) for name in config.keep}
            try:
                window.examples.append(task.asked_example(Record(row.prompt, row.id, row.meta), settings))
                window.places.append(place)
            except DataError as error:
                line["error"] = str(error)
        if isinstance(task, ReadingTask) and window.examples and task.is_answered_by_rows(window.examples):
            window.examples = list(task.bare(window.examples))
            window.source = _part_from_bad(window, lambda examples: task.rows(examples, context))
        yield window


def _part_from_bad(window: _Window, encode: Callable[[list[Any]], T]) -> T | None:
    """What `encode` makes of the examples; those that it refuses leave the window, and their lines say why."""
    try:
        return encode(window.examples)
    except DataError:
        pass
    good = []
    for example, place in zip(window.examples, window.places, strict=True):
        try:
            encode([example])
        except DataError as error:
            window.lines[place]["error"] = str(error)
        else:
            good.append((example, place))
    window.examples, window.places = [example for example, _ in good], [place for _, place in good]
    return encode(window.examples) if good else None


def _can_be_asked(task: LabelledTask, examples: list[Any], context: int) -> None:
    """Raises DataError where a task cannot ask for one of them, or see its picture."""
    if isinstance(task, GenerativeTask):
        task.prompts(examples, context)
    elif isinstance(task, PicturedTask):
        task.gallery(examples)


def abstained(told: dict[str, Any], below: float | None) -> dict[str, Any]:
    """What is said of an answer that is not sure enough: no prediction, and which one it would have been."""
    probability = told.get("probability")
    if below is None or probability is None or probability >= below:
        return told
    return {**told, "prediction": None, "abstained": told["prediction"]}


def signature(bundle: Bundle, config: AnsweringConfig) -> str:
    """12 hex digits of model, tokenizer, task and settings, as far as they decide a line."""
    task = _task(bundle)
    deciding = [model_fingerprint(bundle), task.config.model_dump_json(), config.context, config.abstain_below]
    if isinstance(task, GenerativeTask):
        deciding.append(sampling_of(bundle, config.given).model_dump_json(exclude={"max_batch", "prompts"}))
    deciding += config.keep
    return hashlib.sha256(json.dumps(deciding).encode()).hexdigest()[:12]


def _task(bundle: Bundle) -> LabelledTask:
    assert isinstance(bundle.task, LabelledTask), "asked of models of labelled tasks"
    return bundle.task


def rows_of(task: LabelledTask, source: Path | BinaryIO, config: AnsweringConfig) -> Iterator[Row | BadRow]:
    """The records of a file, or the lines of standard input; raises UsageError, DataError as `predict_answers`."""
    asked = [role for role in task.config.roles if not role.is_answer]
    names = {role.name: config.columns.get(role.name, task.config.column(role.name)) for role in asked}
    for key in config.columns:
        if key not in names:
            raise UsageError(f"{key}: {task.name} reads no such column; {did_you_mean(key, names)}")
    if not isinstance(source, Path):
        return read_rows(source, name="stdin", format="txt")
    shows = asked[0].is_picture
    if shows and config.kind == "auto" and (claims_picture(source) or source.is_dir()):
        config = config.model_copy(update={"kind": "pictures"})
    if not source.is_file() and not is_dataset(source):
        raise DataError(f"{source}: no such file; for a single text write --text {str(source)!r}")
    if config.kind == "auto" and source.suffix.lower() in (".txt", ".md") and source.is_file():
        return _lines_of(source)
    given = {**task.config.columns, **config.columns}
    text = names[asked[0].name]
    read = [
        names[role.name] for role in asked[1:] if not role.is_picture and (not role.is_optional or role.name in given)
    ]
    meta = tuple(dict.fromkeys(name for name in (*read, *config.keep) if name != text))
    spec = SourceSpec(
        path=str(source),
        kind=config.kind,
        text="text" if config.kind == "pictures" else text,
        id="id",
        meta=meta,
        max_bad_fraction=config.max_bad_fraction,
        split=config.split,
        subset=config.subset,
    )
    if "text" not in config.columns or shows:
        spec = task.config.model_copy(update={"columns": given}).source_of(spec)
    items = open_source(spec)
    first = next(items, None)
    if first is None:
        raise DataError(f"{source}: no rows to predict")
    return (
        BadRow(item.record.id, item.reason) if isinstance(item, Drop) else Row(item.id, item.text, item.meta)
        for item in chain([first], items)
    )


def _lines_of(path: Path) -> Iterator[Row | BadRow]:
    """The lines of a text file; one that is not UTF-8 is a bad row among the others."""

    def read() -> Iterator[Row | BadRow]:
        with path.open("rb") as file:
            yield from read_rows(file, name=path.name, format="txt")

    rows = read()
    first = next(rows, None)
    if first is None:
        raise DataError(f"{path}: no rows to predict")
    return chain([first], rows)
