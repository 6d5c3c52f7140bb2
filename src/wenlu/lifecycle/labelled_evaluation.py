"""Evaluate a model of a labelled task on held-out examples, beside the task's cheap baseline."""

from __future__ import annotations

import tomllib
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

from wenlu.bundle import Bundle, load
from wenlu.corpus.prepare import read_split, splits
from wenlu.corpus.record import Record
from wenlu.errors import DataError
from wenlu.evaluation import EvaluateConfig, Evaluation
from wenlu.evaluation.facts import facts_of
from wenlu.evaluation.joined import joined
from wenlu.evaluation.judged import Judged
from wenlu.evaluation.labelled import evaluate_answers
from wenlu.generation import SamplingConfig
from wenlu.lifecycle.examples import read_examples
from wenlu.lifecycle.life import member_root
from wenlu.lifecycle.pictures import with_pictures
from wenlu.progress import QUIET, Named, Progress
from wenlu.tasks import LabelledConfig, LabelledTask, MultiTask, PicturedTask, Preference

HELD_OUT = ("test", "validation")


def evaluate_labelled_run(
    bundle: Bundle,
    root: Path,
    config: EvaluateConfig,
    *,
    sampling: SamplingConfig | None = None,
    progress: Progress = QUIET,
) -> Evaluation:
    """Score the model on the held-out part of a run, the baseline fitted to the training part.

    Args:
        sampling: how a task that writes does so; by default as the model's folder says.

    Raises DataError where there is no held-out part.
    """
    split = held_out_split(root, config)
    config = config.model_copy(update={"split": split})
    bundle = beside_its_base(bundle, root)
    task = bundle.task
    assert isinstance(task, LabelledTask), f"{bundle.path} was trained for a labelled task"
    if isinstance(task, PicturedTask):
        bundle = replace(bundle, task=with_pictures(task, root))
    training = list(read_examples(root, "train", task.config)) if config.baseline else []
    records = list(read_split(root / "data", split))
    return evaluate_records(bundle, records, config, training=training, sampling=sampling, progress=progress)


def beside_its_base(bundle: Bundle, run: Path) -> Bundle:
    """Of a run that learnt preferences the bundle whose answers are compared with those of its base."""
    if not isinstance(bundle.task, Preference) or not bundle.task.needs_reference:
        return bundle
    base = tomllib.loads((run / "config.toml").read_text(encoding="utf-8")).get("model", {}).get("base")
    return bundle if base is None else replace(bundle, task=bundle.task.beside(load(base).model))


def held_out_split(root: Path, config: EvaluateConfig) -> str:
    """The part of the run's data to score on; raises DataError where there is none."""
    there = [name for name in HELD_OUT if name in splits(root / "data")]
    if not there:
        raise DataError(f"{root / 'data'}: no held-out examples; give data.test=FILE")
    return there[0] if config.split == "auto" else config.split


def evaluate_members(model: Path, run: Path, config: EvaluateConfig, progress: Progress = QUIET) -> Evaluation:
    """Score the model in a folder on the held-out part of each of its tasks."""
    found = {}
    task = load(model).task
    assert isinstance(task, MultiTask), f"{model} was trained for several tasks"
    for name in task.members:
        bundle = load(model, task=name)
        found[name] = evaluate_labelled_run(bundle, member_root(run, name), config, progress=Named(name, progress))
    return joined(found, task.name)


def evaluate_records(
    bundle: Bundle,
    records: Sequence[Record],
    config: EvaluateConfig,
    *,
    columns: LabelledConfig | None = None,
    training: Sequence[Any] = (),
    sampling: SamplingConfig | None = None,
    progress: Progress = QUIET,
) -> Evaluation:
    """Score the model on records, whose `columns` may be others than in training.

    Those that are no examples of the task are left out with a warning.
    """
    task = bundle.task
    assert isinstance(task, LabelledTask), f"{bundle.path} was trained for a labelled task"
    judged = judged_of(task, records, columns, progress)
    return evaluate_answers(bundle, task, judged, config, training=training, sampling=sampling, progress=progress)


def judged_of(
    task: LabelledTask, records: Sequence[Record], columns: LabelledConfig | None = None, progress: Progress = QUIET
) -> list[Judged]:
    """The records that are examples of the task, with their clusters; a warning counts the others."""
    judged, refused = [], []
    for record in records:
        try:
            example = type(task).example_of(record, columns or task.config)
        except DataError as error:
            refused.append(str(error))
        else:
            facts = facts_of(record, columns or task.config)
            judged.append(Judged(record.id, record.meta.get("cluster") or record.id, example, facts))
    if refused:
        progress.warn(
            f"{len(refused):,} of {len(records):,} records are no examples and left out; the first: {refused[0]}"
        )
    return judged
