"""Work on a search: one trial after the other, until there is nothing left to do. Several processes may."""

from __future__ import annotations

import math
import os
import shutil
import signal
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from wenlu.config.load import Settings
from wenlu.errors import Diverged, MissingExtra, Preempted, ResourceError, WenluError
from wenlu.lifecycle.cache import StageCache
from wenlu.lifecycle.life import Life
from wenlu.lifecycle.search.jobs import DONE, SESSION, Job, Queue
from wenlu.lifecycle.search.settings import TuneConfig
from wenlu.lifecycle.search.space import values_of
from wenlu.lifecycle.search.study import open_study
from wenlu.lifecycle.search.trial import (
    Ended,
    Outcome,
    remove_checkpoints,
    train_trial,
    trial_folder,
    trial_recipe,
)
from wenlu.progress import QUIET, Named, Progress
from wenlu.rundir import Follower
from wenlu.training.memory import OutOfMemory

if TYPE_CHECKING:
    from optuna import Study
    from optuna.trial import FrozenTrial

MOST_FAILURES = 3
"""So many trials may fail before any has come out; then something is wrong with all."""
WHY = "why"


@dataclass(frozen=True)
class Work:
    """What each process that works on a search is told; it can be pickled.

    Attributes:
        settings: of the recipe, without `[tune]`. parent: whose data the trials share. threads: of each trial, 0: as
            the recipe says.
        read: the stages of a life up to what training reads.
    """

    settings: Settings
    config: TuneConfig
    out: Path
    fingerprint: str
    session: str
    seed: int
    parent: Life
    read: Callable[[Life], Life]
    deadline: float = math.inf
    threads: int = 0

    def queue(self) -> Queue:
        train = self.parent.recipe.train
        study = open_study(self.out, self.config, self.fingerprint, train.validations)
        return Queue(
            study,
            self.config,
            self.seed,
            self.out,
            self.session,
            train.validations,
            train.keep_best,
            self.deadline,
        )

    def alone(self) -> Work:
        """For another process, which has neither the lock of the parent's run nor a terminal."""
        cache = StageCache(self.parent.out, writes=False)
        return replace(
            self,
            parent=replace(self.parent, run=Follower(self.parent.out), cache=cache, progress=QUIET),
            threads=self.threads,
        )


def work(todo: Work, progress: Progress = QUIET) -> None:
    """Carry out jobs until there are none; raises what no trial is to blame for."""
    queue = todo.queue()
    while (job := queue.next()) is not None:
        _carry_out(job, todo, queue, Named(f"trial {job.trial.number}", progress))


def work_for(todo: Work, master: int) -> None:
    """`work`, as a process that ends where the one that started it does."""
    threading.Thread(target=_end_with, args=(master,), daemon=True).start()
    try:
        work(todo)
    except Preempted as error:
        raise SystemExit(error.exit_code) from None


def _end_with(master: int) -> None:
    while os.getppid() == master:
        time.sleep(0.5)
    os.kill(os.getpid(), signal.SIGTERM)


def _carry_out(job: Job, todo: Work, queue: Queue, progress: Progress) -> None:
    trial, study = job.trial, queue.study
    folder = trial_folder(todo.out, trial.number)
    values = values_of(trial.params, todo.config.space)
    trial.set_user_attr("values", values)
    known = set(study.get_trials(deepcopy=False)[trial.number].intermediate_values)

    def report(place: int, value: float) -> None:
        if place not in known:
            known.add(place)
            trial.report(value if math.isfinite(value) else math.inf, place)
        if trial.should_prune():
            raise Ended

    try:
        recipe = trial_recipe(
            todo.settings,
            values,
            where=f"trial {trial.number} ({', '.join(values)})",
            halves=todo.config.pruner == "asha",
            threads=todo.threads,
        )
        found = train_trial(
            recipe,
            replace(todo.parent, progress=progress),
            folder,
            todo.config.metric,
            read=todo.read,
            report=report,
            pause_at=job.pause_at,
        )
    except Ended:
        if job.rung is not None:
            trial.set_user_attr(DONE, job.rung)
            trial.set_user_attr(SESSION, "")
            return
        study.tell(trial, state=_states().PRUNED)
        remove_checkpoints(folder)
    except (Preempted, MissingExtra):
        raise
    except WenluError as error:
        if isinstance(error, ResourceError) and not isinstance(error, OutOfMemory):
            raise
        trial.set_user_attr(WHY, str(error))
        study.tell(trial, state=_states().FAIL)
        remove_checkpoints(folder)
        if not isinstance(error, Diverged) and _only_failures(study):
            raise
        progress.warn(f"failed: {error}")
    else:
        _keep(found, job, todo, queue)
        progress.start("found")
        progress.finish(f"{found.value:.6g} {found.unit}")


def _keep(found: Outcome, job: Job, todo: Work, queue: Queue) -> None:
    trial = job.trial
    for name in ("value", "unit", "better", "steps", "seconds"):
        trial.set_user_attr(name, getattr(found, name))
    with queue.alone():
        queue.study.tell(trial, found.cost)
        best = best_trial(queue.study)
        for other in queue.study.get_trials(deepcopy=False):
            if other.state.is_finished():
                remove_checkpoints(trial_folder(todo.out, other.number))
                if not todo.config.keep_models and other.number != best.number:
                    shutil.rmtree(trial_folder(todo.out, other.number) / "model", ignore_errors=True)


def best_trial(study: Study) -> FrozenTrial:
    """Of those that were trained to their end, at least one, the first of the best."""
    finished = [trial for trial in study.get_trials(deepcopy=False) if trial.state == _states().COMPLETE]
    return min(finished, key=lambda trial: (trial.value, trial.number))


def _only_failures(study: Study) -> bool:
    names = [trial.state.name for trial in study.get_trials(deepcopy=False)]
    return "COMPLETE" not in names and "PRUNED" not in names and names.count("FAIL") >= MOST_FAILURES


def _states() -> Any:
    from optuna.trial import TrialState

    return TrialState
