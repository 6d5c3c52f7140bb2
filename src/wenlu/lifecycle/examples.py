"""The examples of a labelled task: every record of the data read as one, and what the training part tells."""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any

from wenlu.corpus.prepare import read_split, splits
from wenlu.corpus.record import Record
from wenlu.corpus.repeats import training_records
from wenlu.errors import DataError
from wenlu.progress import QUIET, Progress
from wenlu.rundir import atomic
from wenlu.tasks import TaskConfig, read_settings, task_type
from wenlu.tasks.labelled import LabelledConfig, LabelledTask

FILE = "examples.json"
REFUSED = "examples-refused.jsonl"


def labelled_type(config: TaskConfig) -> type[LabelledTask]:
    kind = task_type(config.name)
    assert issubclass(kind, LabelledTask), f"{config.name} has no labelled examples"
    return kind


def survey(root: Path, config: LabelledConfig, max_bad_fraction: float, progress: Progress = QUIET) -> dict[str, Any]:
    """Read every record of `root/data` as an example; writes `examples.json` and what was refused.

    Raises:
        DataError: more than `max_bad_fraction` of a part's records are no examples of the task; the first is named.
    """
    kind, refused, counts = labelled_type(config), [], {}
    progress.start("examples", unit="records")
    for split in splits(root / "data"):
        examples, first = [], None
        for record in read_split(root / "data", split):
            try:
                example = kind.example_of(record, config)
            except DataError as error:
                first = first or error
                refused.append({"split": split, "id": record.id, "reason": str(error)})
            else:
                examples.append(example)
        bad = sum(row["split"] == split for row in refused)
        if first is not None and bad > max_bad_fraction * (bad + len(examples)):
            raise DataError(
                f"{first}. Of the {split} part, {bad:,} of {bad + len(examples):,} records are no examples, more than "
                f"data.max_bad_fraction = {max_bad_fraction:g}; correct them, or raise it to leave them out"
            )
        counts[split] = len(examples)
        if split == "train":
            config = config.learnt(examples)
    told = {"task": config.model_dump(mode="json"), "examples": counts, "refused": len(refused)}
    atomic.write_text(root / REFUSED, "".join(json.dumps(row, ensure_ascii=False) + "\n" for row in refused))
    atomic.write_text(root / FILE, json.dumps(told, ensure_ascii=False, indent=2) + "\n")
    progress.finish(", ".join(f"{name} {count:,}" for name, count in counts.items()) + f", refused {len(refused):,}")
    return told


def surveyed(root: Path) -> LabelledConfig:
    """The task as `survey` settled it."""
    told = json.loads((root / FILE).read_text(encoding="utf-8"))
    config = read_settings(told["task"])
    assert isinstance(config, LabelledConfig), f"{root / FILE} speaks of a labelled task"
    return config


def read_examples(root: Path, split: str, config: LabelledConfig) -> Iterator[Any]:
    """The examples of a part; records that `survey` refused are passed over."""
    return _examples_of(read_split(root / "data", split), config)


def training_examples(root: Path, config: LabelledConfig) -> Iterator[Any]:
    """Those of the training part as they are learnt from, each as often as the share of its source asks for."""
    return _examples_of(training_records(root / "data"), config)


def _examples_of(records: Iterable[Record], config: LabelledConfig) -> Iterator[Any]:
    kind = labelled_type(config)
    for record in records:
        try:
            yield kind.example_of(record, config)
        except DataError:
            continue
