"""What several tasks bring to the training that they share, and what each takes from it."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

from wenlu.corpus.examples import Examples
from wenlu.corpus.prepare import splits
from wenlu.lifecycle.calibration import calibrated
from wenlu.lifecycle.examples import read_examples, surveyed, training_examples
from wenlu.lifecycle.life import member_root
from wenlu.progress import Named, Progress
from wenlu.tasks import MultiTask, MultiTaskConfig, ReadingTask, new_task
from wenlu.tasks.several.heads import ManyHeaded
from wenlu.tokenizers import Tokenizer
from wenlu.training import TrainData


def multi_task(config: MultiTaskConfig, run: Path, names: Mapping[str, object], tokenizer: Tokenizer) -> MultiTask:
    """The task of all members, each as its examples settled it."""
    members = {}
    for name in names:
        member = new_task(surveyed(member_root(run, name)), tokenizer)
        assert isinstance(member, ReadingTask), "a recipe's members have heads"
        members[name] = member
    return MultiTask(config, tokenizer, members)


def mixed_data(task: MultiTask, run: Path, context: int, progress: Progress) -> TrainData:
    """The rows of all; those held out are of the members that have such."""
    held_out = {name: member for name, member in task.members.items() if _has(run, name, "validation")}
    train = task.mixed(_rows(task.members, run, "train", context, progress))
    validation = task.mixed(_rows(held_out, run, "validation", context, progress)) if held_out else None
    return TrainData(train, validation)


def each_calibrated(task: MultiTask, model: ManyHeaded, run: Path, context: int, progress: Progress) -> MultiTask:
    """Each member with the temperature and thresholds that its own validation part tells."""
    found = {}
    for name, member in task.members.items():
        if _has(run, name, "validation"):
            examples = list(read_examples(member_root(run, name), "validation", member.config))
            settled = calibrated(member, model.of(name), examples, context, Named(name, progress))
            assert isinstance(settled, ReadingTask), "it stays the same task"
            member = settled
        found[name] = member
    return task.with_members(found)


def _has(run: Path, name: str, split: str) -> bool:
    return split in splits(member_root(run, name) / "data")


def _rows(
    members: Mapping[str, ReadingTask], run: Path, split: str, context: int, progress: Progress
) -> dict[str, Examples]:
    rows = {}
    for name, member in members.items():
        root, config = member_root(run, name), member.config
        found = training_examples(root, config) if split == "train" else read_examples(root, split, config)
        rows[name] = member.rows(list(found), context)
        for note in rows[name].notes:
            progress.warn(f"{name}, {split}: {note}")
    return rows
