"""A search without training: what each trial costs at each validation is a function of its settings."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from wenlu.lifecycle.search.jobs import DONE, SESSION, Job, Queue, cost
from wenlu.lifecycle.search.settings import TuneConfig
from wenlu.lifecycle.search.space import values_of
from wenlu.lifecycle.search.study import study_in

optuna = pytest.importorskip("optuna")

VALIDATIONS = 4
SPACE = {"optimizer.lr": {"low": 1e-4, "high": 1e-1, "log": True}, "train.batch_size": {"low": 4, "high": 64}}
WAYS = [("random", "none"), ("tpe", "median"), ("cma-es", "hyperband"), ("tpe", "asha")]

Trials = list[tuple[int, str, dict[str, object], dict[int, float]]]


def read(values: dict[str, float], validation: int) -> float:
    """Falls with each validation, and lowest in the middle of the space."""
    return (abs(values["optimizer.lr"] - 0.01) * 50 + abs(values["train.batch_size"] - 20) / 20 + 1) / validation**0.5


class Killed(Exception):
    pass


def carry_out(queue: Queue, after: Callable[[], None]) -> None:
    """As a search does it; `after` each thing that is written the process may be killed."""
    while (job := queue.next()) is not None:
        after()
        one(queue, job, after)


def one(queue: Queue, job: Job, after: Callable[[], None]) -> None:
    trial = job.trial
    values = values_of(trial.params, queue.config.space)
    known = queue.study.get_trials()[trial.number].intermediate_values
    for validation in range(1, VALIDATIONS + 1):
        if validation not in known:
            trial.report(read(values, validation), validation)
            after()
        if trial.should_prune():
            queue.study.tell(trial, state=optuna.trial.TrialState.PRUNED)
            return
        if job.pause_at is not None and validation >= job.pause_at:
            trial.set_user_attr(DONE, job.rung)
            trial.set_user_attr(SESSION, "")
            return
    queue.study.tell(trial, read(values, VALIDATIONS))
    after()


def new_queue(folder: Path, storage: Any, sampler: str, pruner: str, session: str, trials: int) -> Queue:
    """A queue that remembers nothing but what is in the storage."""
    config = TuneConfig(space=SPACE, sampler=sampler, pruner=pruner, trials=trials, reduction=2)
    study = study_in(storage, config, VALIDATIONS)
    return Queue(study, config, 7, folder, session, VALIDATIONS, keeps_best=False)


@pytest.fixture
def storage() -> Any:
    return optuna.storages.InMemoryStorage()


def trials_of(queue: Queue) -> Trials:
    trials = queue.study.get_trials()
    return [(trial.number, trial.state.name, trial.params, trial.intermediate_values) for trial in trials]


@pytest.mark.parametrize(("sampler", "pruner"), WAYS)
def test_a_search_that_is_killed_again_and_again_ends_as_one_that_is_not(
    tmp_path: Path, storage: Any, sampler: str, pruner: str
) -> None:
    def stay() -> None:
        pass

    written = 0

    def killed() -> None:
        nonlocal written
        written += 1
        if written % 5 == 0:
            raise Killed

    whole = new_queue(tmp_path, optuna.storages.InMemoryStorage(), sampler, pruner, "only", trials=9)
    carry_out(whole, stay)
    deaths = 0
    while True:
        queue = new_queue(tmp_path, storage, sampler, pruner, f"session {deaths}", trials=9)
        try:
            carry_out(queue, killed)
            break
        except Killed:
            deaths += 1
    assert deaths > 4
    assert trials_of(queue) == trials_of(whole)
    assert len(trials_of(whole)) == 9


def test_asha_trains_few_to_the_end_and_the_winner_is_among_them(tmp_path: Path, storage: Any) -> None:
    queue = new_queue(tmp_path, storage, "random", "asha", "only", trials=9)
    carry_out(queue, lambda: None)
    trials = queue.study.get_trials()
    counts = [len(trial.intermediate_values) for trial in trials]
    assert sorted(set(counts)) == [1, 2, 4]
    assert counts.count(1) > len(counts) / 3
    finished = [trial.number for trial in trials if trial.state.name == "COMPLETE"]
    first = {trial.number: trial.intermediate_values[1] for trial in trials}
    assert min(first, key=first.__getitem__) in finished


def test_where_nobody_could_be_promoted_to_the_end_the_winner_is_trained_to_it(tmp_path: Path, storage: Any) -> None:
    queue = new_queue(tmp_path, storage, "random", "asha", "only", trials=1)
    carry_out(queue, lambda: None)
    (trial,) = queue.study.get_trials()
    assert trial.state.name == "COMPLETE"
    assert [*trial.intermediate_values] == [1, 2, 3, 4]


def test_a_trial_costs_its_best_validation_where_the_best_weights_are_kept() -> None:
    assert cost({1: 0.5, 2: 0.3, 3: 0.4, 4: 0.1}, at=3, keeps_best=True) == 0.3
    assert cost({1: 0.5, 2: 0.3, 3: 0.4, 4: 0.1}, at=3, keeps_best=False) == 0.4
