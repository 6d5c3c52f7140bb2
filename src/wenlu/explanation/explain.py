"""Explain what a model answers to a text."""

from __future__ import annotations

import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import ExitStack
from dataclasses import dataclass, replace
from functools import cached_property
from pathlib import Path
from typing import Any, BinaryIO, Literal

import torch

from wenlu.bundle import Bundle, load
from wenlu.config import check, did_you_mean, override
from wenlu.corpus.record import Record
from wenlu.corpus.steps.words import words_of
from wenlu.errors import DataError, MissingExtra, UsageError
from wenlu.evaluation.linear.prediction import Stored, linear_folder, load_stored
from wenlu.explanation.baselines import chosen, has_embedding, vector
from wenlu.explanation.certificate import certified
from wenlu.explanation.explanation import AttentionMap, Attributed, Explanation
from wenlu.explanation.linear import LinearSubject
from wenlu.explanation.methods import METHODS, Method
from wenlu.explanation.methods.attention import weights_of
from wenlu.explanation.neural import NeuralSubject, body_of
from wenlu.explanation.settings import ExplainConfig
from wenlu.explanation.subject import Between, Part, Subject, go_on
from wenlu.explanation.targets import answers, grading, next_token, tagging, text_classification
from wenlu.explanation.targets.framed import Framed, Question
from wenlu.explanation.targets.linear_scores import linear_subject
from wenlu.explanation.units import Level, units_of
from wenlu.generation.inputs import ReadingConfig, rows_in
from wenlu.generation.labelled import LONGEST, AnsweringConfig, rows_of
from wenlu.generation.rows import BadRow, Row
from wenlu.models import Ability, family_of
from wenlu.models.adapters import view_of
from wenlu.models.weights.digest import weights_digest
from wenlu.tasks import (
    CausalLM,
    Dialogue,
    Grading,
    LabelledTask,
    Preference,
    QuestionAnswering,
    ReadingTask,
    TextClassification,
    TokenClassification,
)

_SETTINGS = tuple(ExplainConfig.model_fields)
MOST_WEIGHTS = 4_000_000
"""Attention weights that are told of a text."""
EXPLAINED = "text classification, token classification, question answering, grading and the next token of causal models"


@dataclass(frozen=True)
class Explainer:
    """A model whose answers are explained; what all its texts share is found once."""

    model: Bundle | Stored

    @classmethod
    def load(cls, path_or_id: str | Path, *, task: str | None = None) -> Explainer:
        """A run, a folder with a neural or a linear model, a package, a hub id; the errors are `wenlu.load`'s."""
        linear = linear_folder(path_or_id)
        if linear is not None:
            return cls(load_stored(linear))
        return cls(load(path_or_id, task=task))

    def one(
        self, text: str, columns: Mapping[str, str], config: ExplainConfig, *, between: Between = go_on
    ) -> Explanation:
        """Of a text, and what else the task reads by the names of its columns; the errors are those of `explain`."""
        for key in config.columns:
            raise UsageError(f"{key}: no setting of an explanation; {did_you_mean(key, _SETTINGS)}")
        return self.explain(Record(text, "text", dict(columns)), config, between=between)

    def explain(self, record: Record, config: ExplainConfig, *, between: Between = go_on) -> Explanation:
        """Of one record, whose columns are named as in training.

        Other threads may ask the model meanwhile. `between` is called before each forward pass. Raises UsageError for
        a task that is not explained, a target that is none, and a method that does not suit the model; DataError for a
        record that is no example.
        """
        begin = time.perf_counter()
        subject = self.subject(record, config, between=between)
        level = _level(config.unit, subject.parts)
        units = units_of(subject.parts, subject.pieces, level)
        if not any(unit.pieces for unit in units):
            raise UsageError("the model read nothing of the text, so there is nothing to attribute to")
        method = _method(config.method, subject)
        found = method.attribute(subject, units, config)
        certificate = certified(
            subject,
            units,
            method,
            found,
            config,
            unit=level,
            orders=config.orders,
            randomisations=config.randomisations,
        )
        attributed = tuple(
            Attributed(
                subject.parts[unit.part].name,
                subject.parts[unit.part].text[unit.start : unit.end],
                unit.start,
                unit.end,
                float(amount) if unit.pieces else None,
                None if found.errors is None else float(found.errors[number]),
            )
            for number, (unit, amount) in enumerate(zip(units, found.amounts, strict=True))
        )
        return Explanation(
            record.id,
            subject.told,
            subject.parts,
            attributed,
            certificate,
            found.elsewhere,
            method.is_signed,
            time.perf_counter() - begin,
            _attention(subject, self.model) if config.attention else None,
        )

    def _linear(self, stored: Stored, record: Record, config: ExplainConfig, ask: Question) -> LinearSubject:
        example: Any = type(stored.model.task).example_of(record, _named(stored.model.task.config, config))
        return linear_subject(stored.model, example, dict(record.meta), stored.digest, ask)

    def _neural(self, bundle: Bundle, record: Record, config: ExplainConfig, ask: Question) -> NeuralSubject:
        bundle.model.eval()
        framed = _framed(bundle, record, config, ask)
        task = bundle.task
        model = task.headed(bundle.model) if isinstance(task, ReadingTask) else bundle.model
        name = chosen(config.baseline, bundle.tokenizer)
        return NeuralSubject(
            model=view_of(model),
            rows=framed.rows,
            aim=framed.aim,
            baseline=vector(name, body_of(model), bundle.tokenizer),
            told=framed.told,
            parts=framed.parts,
            pieces=framed.pieces,
            removal=f"replaced: {name}",
            model_digest=self._digest,
            tokenizer_digest=bundle.tokenizer.fingerprint,
        )

    def subject(self, record: Record, config: ExplainConfig, *, between: Between = go_on) -> Subject:
        """The text before the model, with the number that is explained; raises as `explain`."""
        ask = Question(config.target, config.against, config.at)
        if isinstance(self.model, Stored):
            return replace(self._linear(self.model, record, config, ask), between=between)
        return replace(self._neural(self.model, record, config, ask), between=between)

    def rows(self, stack: ExitStack, source: Path | BinaryIO, config: ExplainConfig) -> Iterator[Row | BadRow]:
        """Records of a file, which `stack` closes, or lines of standard input; raises UsageError, DataError."""
        task = self.model.model.task if isinstance(self.model, Stored) else self.model.task
        if isinstance(task, LabelledTask):
            return rows_of(task, source, AnsweringConfig.model_validate({"kind": config.kind, **config.columns}))
        for key in config.columns.keys() - {"text"}:
            raise UsageError(f"{key}: no setting, and no column of a text to continue; {did_you_mean(key, _SETTINGS)}")
        return rows_in(stack, source, ReadingConfig(column=config.columns.get("text", "auto")))

    @cached_property
    def _digest(self) -> str:
        assert isinstance(self.model, Bundle), "a linear model has the digest of its file"
        return weights_digest(self.model.model)


def explains(model: Bundle | Stored) -> bool:
    """Whether an `Explainer` finds something to attribute to."""
    if isinstance(model, Stored):
        return True
    is_known = _continues(model) or isinstance(
        model.task, TextClassification | TokenClassification | QuestionAnswering | Grading
    )
    return is_known and has_embedding(body_of(model.model))


def explain(model: str | Path | Explainer, text: str | Mapping[str, str], overrides: Sequence[str] = ()) -> Explanation:
    """Why a model answers as it does to one text.

    Args:
        model: what `wenlu.load` takes, the folder of a linear model, or an `Explainer` that was loaded before.
        text: the text, or a record with all columns that the task reads, as {"text": question, "context": ...}.
        overrides: the `KEY=VALUE` settings of `wenlu explain`, for example `method=occlusion`.

    Raises:
        UsageError: a task that is not explained, a target that is none, a method that does not suit the model.
        DataError: a record that lacks a column. The others are those of `load`.
    """
    config = check(ExplainConfig, override({}, overrides), where="explain")
    explainer = model if isinstance(model, Explainer) else Explainer.load(model)
    columns = {"text": text} if isinstance(text, str) else dict(text)
    return explainer.one(columns.pop("text", ""), columns, config)


def explain_rows(
    explainer: Explainer, source: Path | BinaryIO, config: ExplainConfig
) -> Iterator[Explanation | BadRow]:
    """Of each record of a file that data are read from, or line of standard input, in order; the errors of one do not
    end the others. Raises UsageError, DataError where the source cannot be read."""
    with ExitStack() as stack:
        for row in explainer.rows(stack, source, config):
            if isinstance(row, BadRow):
                yield row
                continue
            try:
                yield explainer.explain(Record(row.prompt, row.id, row.meta), config)
            except (DataError, UsageError) as error:
                yield BadRow(row.id, str(error))


def _framed(bundle: Bundle, record: Record, config: ExplainConfig, ask: Question) -> Framed:
    """Raises UsageError for a task of another kind."""
    task, model, tokenizer = bundle.task, bundle.model, bundle.tokenizer
    longest = min(bundle.config.context or LONGEST, LONGEST)
    if _continues(bundle):
        return next_token.framed(model, tokenizer, record.text, config.context or longest, ask)
    if isinstance(task, TextClassification | TokenClassification | QuestionAnswering | Grading):
        example: Any = type(task).example_of(record, _named(task.config, config))
        context = config.context or task.config.trained_context or longest
        match task:
            case TextClassification():
                return text_classification.framed(task, model, tokenizer, example, context, ask)
            case TokenClassification():
                return tagging.framed(task, model, tokenizer, example, context, ask)
            case QuestionAnswering():
                return answers.framed(task, model, tokenizer, example, context, ask)
            case _:
                return grading.framed(task, model, tokenizer, example, context, ask)
    name = "a bare encoder, which answers nothing" if task is None else task.name
    raise UsageError(f"{bundle.path}: is for {name}; explained are {EXPLAINED}")


def _continues(bundle: Bundle) -> bool:
    is_for_it = isinstance(bundle.task, CausalLM | Dialogue | Preference)
    return is_for_it and Ability.CAUSAL in family_of(bundle.model).abilities


def _named(settings: Any, config: ExplainConfig) -> Any:
    """The settings of a task, with the columns of a file that are named otherwise than in training."""
    return settings.model_copy(update={"columns": {**settings.columns, **config.columns}})


def _method(name: str, subject: Subject) -> Method:
    """Raises UsageError for one that asks more of a model than it has."""
    is_linear = isinstance(subject, LinearSubject)
    if name == "auto":
        name = "weights" if is_linear else "integrated-gradients"
    method = next(method for method in METHODS if method.name == name)
    if method.needs != "model" and is_linear != (method.needs == "weights"):
        kind = "a linear model, whose own terms are exact: method=weights"
        kind = kind if is_linear else "no linear model; try integrated-gradients, occlusion or shapley"
        raise UsageError(f"method={name}: this is {kind}")
    return method


def _level(unit: Level | Literal["auto"], parts: Sequence[Part]) -> Level:
    if unit != "auto":
        return unit
    try:
        words_of("".join(part.text for part in parts))
    except MissingExtra:
        return "character"
    return "word"


def _attention(subject: Subject, model: Bundle | Stored) -> AttentionMap:
    """Of the first row; raises UsageError for a model without, and for a text that is too long to be shown."""
    if not isinstance(subject, NeuralSubject) or not isinstance(model, Bundle):
        raise UsageError("attention=true: a linear model has none; leave it out")
    row = subject.rows[0]
    weights = torch.stack(weights_of(subject, row)).float().cpu().numpy()
    if weights.size > MOST_WEIGHTS:
        raise UsageError(
            f"attention=true: {weights.size:,} weights, but at most {MOST_WEIGHTS:,} are told; explain a shorter text, "
            "or lower context"
        )
    return AttentionMap(weights, tuple(model.tokenizer.token(number) for number in row.ids.tolist()))
