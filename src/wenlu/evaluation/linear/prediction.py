"""Predict with a stored linear model: a record a row in, its answer a JSON object a line out, and why."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from functools import partial
from itertools import islice
from pathlib import Path
from typing import IO, Any, BinaryIO

from wenlu.corpus.record import Record
from wenlu.errors import DataError, UsageError
from wenlu.evaluation.linear.explain import explain
from wenlu.evaluation.linear.predictor import LinearModel, item_of
from wenlu.evaluation.linear.stored import FILE, FOLDER, holds_linear, load_linear
from wenlu.generation.labelled import AnsweringConfig, abstained, rows_of
from wenlu.generation.predict import PredictSummary, answer_rows
from wenlu.generation.rows import BadRow, Row
from wenlu.progress import QUIET, Progress

MOST_PARTS = 12
"""Features that are told of an explanation, those that add most; the rest is told as one sum."""


@dataclass(frozen=True)
class Stored:
    """A linear model and a digest of its file."""

    model: LinearModel
    digest: str


def linear_folder(path: str | Path) -> Path | None:
    """The folder of a linear model that a path stands for; None for anything else."""
    return next((folder for folder in (Path(path), Path(path) / FOLDER) if holds_linear(folder)), None)


def load_stored(folder: Path) -> Stored:
    """Raises WeightsError as `load_linear`."""
    return Stored(load_linear(folder), hashlib.sha256((folder / FILE).read_bytes()).hexdigest())


def predict_linear(
    stored: Stored,
    source: Path | BinaryIO,
    out: Path | IO[str],
    config: AnsweringConfig,
    *,
    explained: bool = False,
    overwrite: bool = False,
    progress: Progress = QUIET,
) -> PredictSummary:
    """Write one line of JSON for each record of `source`; an `out` that was interrupted goes on.

    Columns that are features of the model are read by their names, and said again.
    """
    columns = stored.model.features.config.columns
    config = config.model_copy(update={"keep": tuple(dict.fromkeys((*config.keep, *columns)))})
    rows = rows_of(stored.model.task, source, config)
    answer = partial(answer_linear, stored, config=config, explained=explained)
    return answer_rows(
        rows, source, out, _mark(stored, config, explained), answer, overwrite=overwrite, progress=progress
    )


def answer_linear(
    stored: Stored, rows: Iterable[Row | BadRow], config: AnsweringConfig, *, explained: bool = False
) -> Iterator[dict[str, Any]]:
    """One object a row, in order: `prediction` and how sure it is, or `error`; with `explained` also why.

    Raises UsageError for settings of models that write.
    """
    if config.given:
        raise UsageError(f"{next(iter(config.given))}: a linear model writes no text, so there is nothing to generate")
    model, mark = stored.model, _mark(stored, config, explained)
    settings: Any = model.task.config.model_copy(update={"columns": {**model.task.config.columns, **config.columns}})
    below = model.task.config.abstain_below if config.abstain_below is None else config.abstain_below
    rows = iter(rows)
    while window := list(islice(rows, config.rows)):
        lines: list[dict[str, Any]] = [{"id": row.id} for row in window]
        items, places = [], []
        for place, row in enumerate(window):
            if isinstance(row, BadRow):
                lines[place]["error"] = row.error
                continue
            lines[place] |= {name: row.meta.get(name) for name in config.keep}
            try:
                example = type(model.task).example_of(Record(row.prompt, row.id, row.meta), settings)
            except DataError as error:
                lines[place]["error"] = str(error)
                continue
            items.append(item_of(example, row.meta))
            places.append(place)
        for place, item, answer in zip(places, items, model.answer_items(items), strict=True):
            lines[place] |= abstained(model.task.told(answer), below)
            if explained:
                lines[place]["explanation"] = [_told(each) for each in explain(model, item)]
        yield from ({**line, "signature": mark} for line in lines)


def _told(found: Any) -> dict[str, Any]:
    shown = found.parts[:MOST_PARTS]
    return {
        "output": found.output,
        "score": found.score,
        "bias": found.bias,
        "features": [{"group": part.group, "feature": part.feature, "adds": part.amount} for part in shown],
        "others": sum(part.amount for part in found.parts[MOST_PARTS:]),
    }


def _mark(stored: Stored, config: AnsweringConfig, explained: bool) -> str:
    deciding = (stored.digest, config.abstain_below, config.keep, explained)
    return hashlib.sha256(repr(deciding).encode()).hexdigest()[:12]
