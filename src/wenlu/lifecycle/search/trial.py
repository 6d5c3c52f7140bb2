"""One trial: a run of its own below the search, that reads the data which all share."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from wenlu.bundle import load
from wenlu.config import check, to_toml
from wenlu.config.load import Settings
from wenlu.errors import UsageError
from wenlu.evaluation import evaluate_run
from wenlu.lifecycle.base import with_base
from wenlu.lifecycle.cache import StageCache
from wenlu.lifecycle.labelled_evaluation import evaluate_labelled_run
from wenlu.lifecycle.life import Life
from wenlu.lifecycle.recipe import Recipe
from wenlu.lifecycle.search.jobs import cost
from wenlu.lifecycle.search.seen import show
from wenlu.lifecycle.search.settings import VALIDATION
from wenlu.lifecycle.search.space import with_values
from wenlu.lifecycle.stages import train_stage
from wenlu.rundir import Run, is_run
from wenlu.tasks import LabelledTask

if TYPE_CHECKING:
    from torch import Tensor

    from wenlu.rundir.checkpoint import Checkpoint

FOLDER = "trials"


class Ended(Exception):
    """The trial goes no further, for now or for ever."""


class WatchedRun(Run):
    """A run that reports each validation, and pauses at one.

    Attributes:
        report: takes the number of a validation and what it read; raises Ended to end the run.
        pause_at: the number of the validation after whose checkpoint it is paused.
    """

    report: Callable[[int, float], None]
    place_of: Callable[[int], int]
    pause_at: int | None = None

    def log(self, name: str, value: float | str, unit: str, *, step: int, tokens: int, seconds: float) -> None:
        super().log(name, value, unit, step=step, tokens=tokens, seconds=seconds)
        if name == VALIDATION and not isinstance(value, str):
            self.report(self.place_of(step), value)

    def save_checkpoint(
        self, step: int, tensors: Mapping[str, Tensor], state: Mapping[str, Any], **options: Any
    ) -> Checkpoint:
        saved = super().save_checkpoint(step, tensors, state, **options)
        if self.pause_at is not None and self.place_of(step) >= self.pause_at:
            raise Ended
        return saved


@dataclass(frozen=True)
class Outcome:
    """How a trial that was trained to its end came out.

    Attributes:
        cost: lower is better. value: the metric. better: "lower" or "higher".
    """

    cost: float
    value: float
    unit: str
    better: str
    steps: int
    seconds: float


def trial_folder(out: Path, number: int) -> Path:
    return out / FOLDER / f"{number:04d}"


def trial_recipe(settings: Settings, values: Mapping[str, Any], *, where: str, halves: bool, threads: int) -> Recipe:
    """The recipe of a trial; with `halves` it saves at each validation, so that it can go on from any.

    Raises ConfigError where the values do not fit together.
    """
    recipe = with_base(check(Recipe, with_values(settings, values), where=where))
    changes: dict[str, Any] = {"checkpoints": recipe.train.validations} if halves else {}
    if threads and recipe.train.threads == "auto":
        changes["threads"] = threads
    return recipe.model_copy(update={"train": recipe.train.model_copy(update=changes), "tune": None})


def train_trial(
    recipe: Recipe,
    parent: Life,
    out: Path,
    metric: str,
    *,
    read: Callable[[Life], Life],
    report: Callable[[int, float], None],
    pause_at: int | None,
) -> Outcome:
    """Train a trial in `out`, from its checkpoint where it was begun, and judge it; raises what `report` raises.

    It reads the data, tokenizer and examples of the `parent` as far as its settings are the same.
    """
    if is_run(out):
        run = WatchedRun(out)
        run.claim()
    else:
        run = WatchedRun.create(out, to_toml(recipe), parent.origin)
    validations = recipe.train.validations
    run.report, run.pause_at = report, pause_at
    cache = StageCache(out)
    run.place_of = lambda step: step * validations // cache.facts("train")["steps"]
    with Life(recipe, out, out, run, cache, parent.origin, parent.progress) as life:
        if reads_the_same(recipe, parent.recipe):
            life = replace(life, root=parent.root, keys=parent.keys)
        else:
            life = read(life)
            life = replace(life, root=show(out))
        life = train_stage(life)
        return _judged(life, metric)


def reads_the_same(one: Recipe, other: Recipe) -> bool:
    """Whether two recipes have the same data, tokenizer and examples."""
    return _read_by(one) == _read_by(other)


def _read_by(recipe: Recipe) -> str:
    kept = {
        "seed": recipe.seed,
        "data": None if recipe.data is None else recipe.data.model_dump(mode="json"),
        "members": {name: member.model_dump(mode="json") for name, member in recipe.members.items()},
        "task": recipe.task.model_dump(mode="json"),
        "tokenizer": recipe.tokenizer.model_dump(mode="json"),
        "base": recipe.model.base,
        "context": recipe.train.context if recipe.has_examples else None,
        "family": recipe.model.family if recipe.has_examples else None,
    }
    return json.dumps(kept, sort_keys=True)


def _judged(life: Life, metric: str) -> Outcome:
    last = None
    read, unit = {}, ""
    for event in life.run.events():
        last = event
        if event.name == VALIDATION and not isinstance(event.value, str):
            read[event.step], unit = event.value, event.unit
    assert last is not None, "a trained run has events"
    if not read:
        raise UsageError("the trial was never validated; set train.validations, and data.validation=0.1")
    if metric == VALIDATION:
        value = cost(read, last.step, life.recipe.train.keep_best)
        return Outcome(value, value, unit, "lower", last.step, last.seconds)
    bundle = load(life.out / "model")
    config = life.recipe.task_evaluate.model_copy(update={"split": "validation", "baseline": False, "resamples": 100})
    if isinstance(bundle.task, LabelledTask):
        evaluation = evaluate_labelled_run(bundle, life.root, config, sampling=life.recipe.generate)
    else:
        evaluation = evaluate_run(bundle, life.root, config)
    found = {score.name: score for score in evaluation.scores}
    if metric not in found:
        raise UsageError(f"tune.metric={metric!r}: the task has no such measure; it has {', '.join(sorted(found))}")
    score = found[metric]
    sign = 1 if score.better == "lower" else -1
    return Outcome(sign * score.value, score.value, score.unit, score.better, last.step, last.seconds)


def remove_checkpoints(folder: Path) -> None:
    """Of a trial that goes no further."""
    shutil.rmtree(folder / "checkpoints", ignore_errors=True)
