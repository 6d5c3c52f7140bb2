"""Evaluate a model of a labelled task on held-out examples, beside the task's cheap baseline."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from wenlu.bundle import Bundle
from wenlu.corpus.prepare import read_split, splits
from wenlu.corpus.record import Record
from wenlu.errors import DataError
from wenlu.evaluation import EvaluateConfig, Evaluation
from wenlu.evaluation.labelled import Judged, evaluate_answers
from wenlu.generation import SamplingConfig
from wenlu.lifecycle.examples import read_examples
from wenlu.progress import QUIET, Progress
from wenlu.tasks import LabelledConfig, LabelledTask

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
    there = [name for name in HELD_OUT if name in splits(root / "data")]
    if not there:
        raise DataError(f"{root / 'data'}: no held-out examples; give data.test=FILE")
    split = there[0] if config.split == "auto" else config.split
    config = config.model_copy(update={"split": split})
    task = bundle.task
    assert isinstance(task, LabelledTask), f"{bundle.path} was trained for a labelled task"
    training = list(read_examples(root, "train", task.config)) if config.baseline else []
    records = list(read_split(root / "data", split))
    return evaluate_records(bundle, records, config, training=training, sampling=sampling, progress=progress)


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
    judged, refused = [], []
    for record in records:
        try:
            example = type(task).example_of(record, columns or task.config)
        except DataError as error:
            refused.append(str(error))
        else:
            judged.append(Judged(record.id, record.meta.get("cluster") or record.id, example))
    if refused:
        progress.warn(
            f"{len(refused):,} of {len(records):,} records are no examples and left out; the first: {refused[0]}"
        )
    return evaluate_answers(bundle, task, judged, config, training=training, sampling=sampling, progress=progress)
