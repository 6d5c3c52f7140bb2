from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import pytest
import torch

from wenlu.config import Duration
from wenlu.models import LanguageModel
from wenlu.progress import Progress
from wenlu.rundir import Run
from wenlu.tasks import CausalLM
from wenlu.training import AdamWConfig, ScheduleConfig, TrainConfig, TrainData, train
from wenlu.training.profiling import BETWEEN, ROWS, as_text

NewModel = Callable[[], LanguageModel]
NewRun = Callable[[str], Run]


class Notes(Progress):
    def __init__(self) -> None:
        self.warnings: list[str] = []

    def warn(self, message: str) -> None:
        self.warnings.append(message)


def go(config: TrainConfig, model: LanguageModel, data: TrainData, run: Run, **changes: object) -> Notes:
    notes = Notes()
    arguments = {"model": model, "task": CausalLM(), "data": data, "run": run, "seed": 1, "progress": notes}
    train(config.model_copy(update=changes), AdamWConfig(lr=0.01), ScheduleConfig(), **arguments)  # type: ignore[arg-type]
    return notes


@pytest.fixture
def costs(config: TrainConfig, new_model: NewModel, data: TrainData, new_run: NewRun) -> tuple[Path, list[str]]:
    run = new_run("profiled")
    notes = go(config, new_model(), data, run, profile_steps=2)
    return run.path / "profile", notes.warnings


def test_a_profile_has_the_steps_asked_for_and_their_ten_largest_costs(costs: tuple[Path, list[str]]) -> None:
    folder, warnings = costs
    trace = json.loads((folder / "trace.json").read_text())["traceEvents"]
    names = [event.get("name", "") for event in trace if event.get("cat") in ("cpu_op", "user_annotation")]
    assert sorted(name for name in names if name.startswith("ProfilerStep")) == ["ProfilerStep#4", "ProfilerStep#5"]
    assert any(name.startswith("aten::") and "mm" in name for name in names)
    found = json.loads((folder / "costs.json").read_text())
    times = [row["ms_per_step"] for row in found]
    assert len(times) == ROWS
    assert times == sorted(times, reverse=True)
    assert BETWEEN in {row["name"] for row in found}
    table = (folder / "costs.txt").read_text().rstrip("\n")
    assert warnings == [f"what cost most in the profiled steps ({folder}):\n{table}"]


def test_own_times_add_up_to_the_length_of_the_steps(costs: tuple[Path, list[str]]) -> None:
    trace = json.loads((costs[0] / "trace.json").read_text())["traceEvents"]
    whole = sum(event["dur"] for event in trace if event.get("name", "").startswith("ProfilerStep")) / 1e6
    found = json.loads((costs[0] / "costs.json").read_text())
    for row in found:
        assert row["ms_per_step"] / row["share"] == pytest.approx(1000 * whole / 2, rel=0.1)


def test_a_profiled_run_is_the_same_bit_for_bit(
    config: TrainConfig, new_model: NewModel, data: TrainData, new_run: NewRun
) -> None:
    plain, profiled = new_model(), new_model()
    go(config, plain, data, new_run("plain"))
    go(config, profiled, data, new_run("profiled"), profile_steps=3)
    assert all(torch.equal(a, b) for a, b in zip(plain.parameters(), profiled.parameters(), strict=True))


def test_a_run_too_short_to_profile_says_so(
    config: TrainConfig, new_model: NewModel, data: TrainData, new_run: NewRun
) -> None:
    run = new_run("a")
    notes = go(config, new_model(), data, run, profile_steps=2, duration=Duration(3, "steps"))
    assert notes.warnings == ["no profile: training must go on for more than 4 steps from where it began"]
    assert not (run.path / "profile").exists()


def test_a_disk_that_refuses_the_profile_ends_no_training(
    config: TrainConfig, new_model: NewModel, data: TrainData, new_run: NewRun
) -> None:
    run = new_run("a")
    (run.path / "profile").write_text("a file in the way")
    notes = go(config, new_model(), data, run, profile_steps=2)
    (said,) = notes.warnings
    assert "the profile could not be written" in said
    assert [event.step for event in run.events()][-1] == 12


def test_the_table_gives_shares_and_times_a_step() -> None:
    row = {"name": "aten::mm", "share": 0.25, "ms_per_step": 500.0, "calls_per_step": 3.0}
    assert as_text([row]).splitlines()[1].split() == ["25.0%", "500.00", "3", "aten::mm"]  # type: ignore[list-item]
