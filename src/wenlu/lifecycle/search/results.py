"""What a search found: its trials, the best of them, and which settings mattered."""

from __future__ import annotations

import json
import math
import warnings
from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING, Any

from wenlu.config import check
from wenlu.errors import MissingExtra, UsageError
from wenlu.lifecycle.recipe import Recipe
from wenlu.lifecycle.search.plots import importance_plot, parallel_coordinates
from wenlu.lifecycle.search.settings import Range
from wenlu.lifecycle.search.space import with_values
from wenlu.lifecycle.search.study import seeded
from wenlu.lifecycle.search.trial import FOLDER
from wenlu.lifecycle.search.work import WHY, Work, best_trial
from wenlu.rundir import atomic

if TYPE_CHECKING:
    from optuna import Study
    from optuna.trial import FrozenTrial

_TREES = 64
STATES = {"COMPLETE": "trained", "PRUNED": "ended early", "FAIL": "failed", "RUNNING": "paused"}
"""As people say it; once a search is over, what still runs is a trial that ASHA did not promote."""


@dataclass(frozen=True)
class TrialRow:
    """A trial as a table shows it.

    Attributes:
        value: the metric; of a trial that ended early its last validation, as `validation`; None where it had none.
        validations: how many it had. why: it failed.
    """

    number: int
    state: str
    value: float | None
    validation: float | None
    validations: int
    settings: dict[str, Any]
    steps: int | None
    seconds: float | None
    why: str | None
    run: str


@dataclass(frozen=True)
class Findings:
    """The trials, best first; importance by setting, that sums to 1; the recipe with the best settings."""

    path: Path
    metric: str
    unit: str
    better: str
    rows: tuple[TrialRow, ...]
    importance: dict[str, float]
    recipe: Recipe

    @property
    def best(self) -> TrialRow:
        return self.rows[0]

    def to_json(self) -> dict[str, Any]:
        rows = [row.__dict__ for row in self.rows]
        return {
            "search": str(self.path),
            "metric": {"name": self.metric, "unit": self.unit, "better": self.better},
            "best": rows[0],
            "recipe": str(self.path / "best.toml"),
            "importance": self.importance,
            "trials": rows,
        }


def findings(todo: Work) -> Findings:
    """What the study of a search holds; raises UsageError where no trial was trained to its end."""
    study = todo.queue().study
    trials = study.get_trials(deepcopy=False)
    if not any(trial.state.name == "COMPLETE" for trial in trials):
        reasons = [trial.user_attrs[WHY] for trial in trials if WHY in trial.user_attrs]
        told = f"; the first: {reasons[0]}" if reasons else ""
        raise UsageError(f"{todo.out}: none of {len(trials)} trials was trained to its end{told}")
    best = best_trial(study)
    values = best.user_attrs["values"]
    where = f"trial {best.number}"
    order = sorted(trials, key=lambda trial: (trial.state.name != "COMPLETE", *_rank(trial)))
    return Findings(
        todo.out,
        todo.config.metric,
        best.user_attrs["unit"],
        best.user_attrs["better"],
        tuple(_row(trial) for trial in order),
        importance(study, todo.seed),
        check(Recipe, with_values(todo.settings, values), where=where),
    )


def _rank(trial: FrozenTrial) -> tuple[float, float, int]:
    """The better first; of those that did not end, the one that came furthest."""
    if trial.state.name == "COMPLETE" and trial.value is not None:
        return trial.value, 0.0, trial.number
    last = _last(trial)
    return -len(trial.intermediate_values), math.inf if last is None else last, trial.number


def _last(trial: FrozenTrial) -> float | None:
    reported = trial.intermediate_values
    return reported[max(reported)] if reported else None


def _row(trial: FrozenTrial) -> TrialRow:
    told = trial.user_attrs
    return TrialRow(
        trial.number,
        STATES[trial.state.name],
        told.get("value"),
        _last(trial),
        len(trial.intermediate_values),
        told.get("values", {}),
        told.get("steps"),
        told.get("seconds"),
        told.get(WHY),
        f"{FOLDER}/{trial.number:04d}",
    )


def importance(study: Study, seed: int) -> dict[str, float]:
    """Which share of the trials' spread each setting explains: fANOVA (Hutter et al. 2014); none of too few trials."""
    from optuna.importance import FanovaImportanceEvaluator, get_param_importances

    finished = [trial for trial in study.get_trials(deepcopy=False) if trial.state.name == "COMPLETE"]
    varied = {key for trial in finished for key in trial.params}
    if len(finished) < 4 or len({trial.value for trial in finished}) < 2 or not varied:
        return {}
    if find_spec("sklearn") is None:
        raise MissingExtra("scikit-learn", extra="tune", purpose="say which settings mattered")
    evaluator = FanovaImportanceEvaluator(n_trees=_TREES, seed=seeded(seed) % 2**31)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        found = get_param_importances(study, evaluator=evaluator)
    return {key: round(float(value), 4) for key, value in found.items()}


def write_findings(found: Findings, todo: Work) -> None:
    """`tune.json`, and the plots beside it."""
    atomic.write_text(todo.out / "tune.json", json.dumps(found.to_json(), ensure_ascii=False, indent=2) + "\n")
    done = [row for row in found.rows if row.value is not None]
    logs = {key for key, searched in todo.config.space.items() if isinstance(searched, Range) and searched.log}
    atomic.write_text(
        todo.out / "parallel.svg",
        parallel_coordinates(
            [(row.settings, float(row.value)) for row in done if row.value is not None],
            found.metric,
            better=found.better,
            logs=logs,
        )
        + "\n",
    )
    if found.importance:
        atomic.write_text(todo.out / "importance.svg", importance_plot(found.importance) + "\n")
