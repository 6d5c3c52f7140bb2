"""What whoever is free does next: goes on with a trial, promotes one, or begins a new one."""

from __future__ import annotations

import fcntl
import math
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from wenlu.lifecycle.search.asha import best, promotable, rungs
from wenlu.lifecycle.search.settings import TuneConfig
from wenlu.lifecycle.search.study import new_trial, taken_up

if TYPE_CHECKING:
    from optuna import Study
    from optuna.trial import FrozenTrial, Trial

SESSION, BEGUN, DONE = "session", "rung_begun", "rung_done"
"""What a trial remembers: the call that works on it; the rung it is on its way to; the last that it came to."""
_LOCK = ".search.lock"


@dataclass(frozen=True)
class Job:
    """A trial to go on with, up to a validation or to its end."""

    trial: Trial
    pause_at: int | None = None
    rung: int | None = None


@dataclass(frozen=True)
class Queue:
    """Gives out the jobs of a search, of which each process that works on it has one.

    Attributes:
        session: of this call; trials of earlier ones that are still under way were left by a killed process.
        validations: of a trial that is trained to its end. keeps_best: of its validations the best one counts.
        deadline: in seconds of `time.time`, after which nothing new begins.
    """

    study: Study
    config: TuneConfig
    seed: int
    folder: Path
    session: str
    validations: int
    keeps_best: bool
    deadline: float = math.inf

    @contextmanager
    def alone(self) -> Iterator[None]:
        """Within, no other process decides."""
        with (self.folder / _LOCK).open("w") as file:
            fcntl.flock(file, fcntl.LOCK_EX)
            yield

    def next(self) -> Job | None:
        """The next job; None where there is none, and none can come."""
        while True:
            with self.alone():
                job, is_over = self._next()
            if job is not None or is_over:
                return job
            time.sleep(0.2)  # another process may come to a rung

    def _next(self) -> tuple[Job | None, bool]:
        trials = self.study.get_trials(deepcopy=False)
        going = [trial for trial in trials if not trial.state.is_finished()]
        working = [trial for trial in going if not self._is_paused(trial)]
        for trial in working:
            if trial.user_attrs.get(SESSION) != self.session:
                return self._claimed(taken_up(self.study, trial, self.config, self.seed), trial.user_attrs), False
        in_time = time.time() < self.deadline
        if self._halves and in_time and (found := promotable(self._results(trials), self.config.reduction)):
            return self._promoted(trials, *found), False
        if len(trials) < self.config.trials and (in_time or not trials):
            return self._claimed(new_trial(self.study, self.config, self.seed), {}), False
        if working or not self._halves or any(trial.state.name == "COMPLETE" for trial in trials):
            return None, not (working and self._halves)
        for rung, costs in reversed([*enumerate(self._results(trials))]):
            if costs:  # what won so far is trained to its end
                return self._promoted(trials, best(costs, 1)[0], rung + 1), False
        return None, True

    @property
    def _halves(self) -> bool:
        return self.config.pruner == "asha"

    def _is_paused(self, trial: FrozenTrial) -> bool:
        return self._halves and trial.user_attrs.get(DONE, -1) >= trial.user_attrs.get(BEGUN, 0)

    def _claimed(self, trial: Trial, remembered: Mapping[str, int]) -> Job:
        trial.set_user_attr(SESSION, self.session)
        if not self._halves:
            return Job(trial)
        rung = remembered.get(BEGUN, 0)
        trial.set_user_attr(BEGUN, rung)
        places = rungs(self.validations, self.config.reduction)
        return Job(trial, places[rung] if rung < len(places) - 1 else None, rung)

    def _promoted(self, trials: Sequence[FrozenTrial], number: int, rung: int) -> Job:
        trial = taken_up(self.study, trials[number], self.config, self.seed)
        return self._claimed(trial, {BEGUN: rung})

    def _results(self, trials: Sequence[FrozenTrial]) -> list[dict[int, float]]:
        """For each rung what the trials cost that came to it or, as nan, are on their way."""
        places = rungs(self.validations, self.config.reduction)
        results: list[dict[int, float]] = [{} for _ in places]
        for trial in trials:
            if trial.state.name == "FAIL":
                continue
            for rung in range(trial.user_attrs.get(BEGUN, -1) + 1):
                is_there = trial.user_attrs.get(DONE, -1) >= rung or trial.state.name == "COMPLETE"
                reported = trial.intermediate_values
                results[rung][trial.number] = cost(reported, places[rung], self.keeps_best) if is_there else math.nan
        return results


def cost(reported: Mapping[int, float], at: int, keeps_best: bool) -> float:
    """What a trial costs at a validation, by what was reported up to it."""
    before = {place: value for place, value in reported.items() if place <= at}
    if not before:
        return math.inf
    return min(before.values()) if keeps_best else before[max(before)]
