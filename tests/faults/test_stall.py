"""A step that does not end says where it is."""

from __future__ import annotations

import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from wenlu.models import LanguageModel
from wenlu.progress import Progress
from wenlu.rundir import Run
from wenlu.tasks import CausalLM, Loss
from wenlu.training import AdamWConfig, ScheduleConfig, TrainConfig, TrainData, train

NewModel = Callable[[], LanguageModel]
NewRun = Callable[[str], Run]


class Stuck(CausalLM):
    """At one call waits until somebody has written down where it waits."""

    def __init__(self, stacks: Path) -> None:
        super().__init__()
        self.stacks, self.calls = stacks, 0

    def loss(self, *args: Any) -> Loss:
        self.calls += 1
        if self.calls == 5:
            self.wait_for_a_disk_that_does_not_answer()
        return super().loss(*args)

    def wait_for_a_disk_that_does_not_answer(self) -> None:
        deadline = time.monotonic() + 60
        while not (self.stacks.exists() and "does_not_answer" in self.stacks.read_text()):
            assert time.monotonic() < deadline, "nobody noticed"
            time.sleep(0.01)


def test_where_a_step_hangs_is_in_the_run_and_the_run_says_so(
    config: TrainConfig, new_model: NewModel, data: TrainData, new_run: NewRun
) -> None:
    run, warnings = new_run("a"), []

    class Listening(Progress):
        def warn(self, message: str) -> None:
            warnings.append(message)

    stacks = run.path / "stacks.txt"
    config = config.model_copy(update={"validations": 0, "stall_seconds": 0.2})
    optimizer, schedule = AdamWConfig(lr=0.01), ScheduleConfig(warmup_steps=2)
    task = Stuck(stacks)
    train(config, optimizer, schedule, model=new_model(), task=task, data=data, run=run, seed=1, progress=Listening())
    assert f"no step has ended for 0.2 s; where all threads are: {stacks}" in warnings
    assert "UTC, after step 4\n" in stacks.read_text()
    assert "in loss" in stacks.read_text()
    assert 5 in [event.step for event in run.events() if event.name == "stalled"]


def test_steps_that_end_write_nothing(
    config: TrainConfig, new_model: NewModel, data: TrainData, new_run: NewRun
) -> None:
    run = new_run("a")
    optimizer, schedule = AdamWConfig(lr=0.01), ScheduleConfig(warmup_steps=2)
    train(config, optimizer, schedule, model=new_model(), task=CausalLM(), data=data, run=run, seed=1)
    assert not (run.path / "stacks.txt").exists()


@pytest.mark.parametrize("seconds", [None, 4000.0])
def test_the_end_of_training_does_not_wait_for_the_watchdog(
    seconds: float | None, config: TrainConfig, new_model: NewModel, data: TrainData, new_run: NewRun
) -> None:
    begin = time.monotonic()
    optimizer, schedule = AdamWConfig(lr=0.01), ScheduleConfig(warmup_steps=2)
    config = config.model_copy(update={"stall_seconds": seconds})
    train(config, optimizer, schedule, model=new_model(), task=CausalLM(), data=data, run=new_run("a"), seed=1)
    assert time.monotonic() - begin < 500
