from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from wenlu.corpus.examples import Examples
from wenlu.corpus.ragged import Ragged
from wenlu.models import LanguageModel
from wenlu.tasks import CausalLM, Task
from wenlu.training import AdamWConfig, TrainConfig, TrainData
from wenlu.training.batches import Batches
from wenlu.training.pace import PROBED_STEPS, Pace, carried_over, evenly, measure_pace, surveyed_steps
from wenlu.training.state import TrainState


def test_probed_places_are_spread_evenly_whenever_one_stops() -> None:
    assert [*evenly(7)] == [1 / 2, 1 / 4, 3 / 4, 1 / 8, 5 / 8, 3 / 8, 7 / 8]
    for count in range(1, 40):
        places = np.sort([0.0, *evenly(count), 1.0])
        assert np.diff(places).max() <= 2 / (count + 1)


def test_seconds_that_grow_linearly_with_work_are_carried_over_exactly() -> None:
    work = [10.0, 300.0, 20.0]
    assert carried_over(work, [0.5 + 0.01 * w for w in work], 70.0) == pytest.approx(0.5 + 0.01 * 70)


def test_of_two_measurements_seconds_are_carried_over_in_proportion_to_work() -> None:
    assert carried_over([10.0, 30.0], [1.0, 3.0], 40.0) == pytest.approx(4.0)


def test_noise_on_steps_of_equal_work_gives_their_mean() -> None:
    assert carried_over([16.0] * 4, [1.0, 2.0, 3.0, 6.0], 16.0) == 3.0
    falling = carried_over([10.0, 20.0, 30.0], [3.0, 2.0, 1.0], 40.0)
    assert falling == 2.0  # more work never takes less time


def test_work_counts_the_padding_of_each_forward_pass() -> None:
    batches = Batches(_examples([3, 5, 9, 2]), rows_per_step=4, seed=0)
    rows = batches.rows(0).tolist()
    widths = [[3, 5, 9, 2][row] for row in rows]
    assert batches.work(0, rows_per_forward=4) == 4 * 9
    assert batches.work(0, rows_per_forward=2) == 2 * max(widths[:2]) + 2 * max(widths[2:])


class Clock:
    """Time that passes only while a step is made, in proportion to its work."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.now, self.steps = 0.0, 0
        monkeypatch.setattr("wenlu.training.pace.time.perf_counter", lambda: self.now)
        monkeypatch.setattr("wenlu.training.pace.seconds_of", self.step)

    def step(self, state: TrainState, _task: Task, batches: Batches, config: TrainConfig) -> float:
        taken = 0.1 + 0.002 * batches.work(state.step, config.rows_per_forward)
        self.now += taken
        self.steps += 1
        return taken


@pytest.mark.parametrize("seed", range(5))
def test_the_pace_of_steps_of_very_different_lengths_is_that_of_the_whole_course(
    config: TrainConfig, new_model: Any, monkeypatch: pytest.MonkeyPatch, seed: int
) -> None:
    sizes = np.random.default_rng(seed).geometric(1 / 20, 2_003).clip(3, 128).tolist()
    examples = _examples(sizes)
    settings = config.model_copy(update={"context": 128, "batch_size": 16, "micro_batch_tokens": 16 * 128})
    clock = Clock(monkeypatch)
    pace = measure_pace(
        settings,
        AdamWConfig(),
        new_model(),
        CausalLM(),
        TrainData(examples, None),
        seed,
        seconds=100.0,
    )
    batches = Batches(examples, 16, seed)
    course = [0.1 + 0.002 * batches.work(step, 16) for step in range(4 * len(sizes) // 16)]
    assert clock.steps == 2 + PROBED_STEPS
    assert pace.step == pytest.approx(np.mean(course), rel=0.05)
    first = np.median(course[2:8])
    assert pytest.approx(np.mean(course), rel=0.05) != first  # what six steps at the beginning say


def test_a_pace_is_measured_without_a_trace(
    config: TrainConfig, new_model: Any, data: TrainData, tmp_path: Path
) -> None:
    model: LanguageModel = new_model()
    before, random = [weight.detach().clone() for weight in model.parameters()], torch.get_rng_state()
    pace = measure_pace(config, AdamWConfig(), model, CausalLM(), data, 0, seconds=1.0, folder=tmp_path)
    assert min(pace.step, pace.look, pace.checkpoint) > 0
    assert pace.spent > 2 * pace.step + pace.look
    assert [*tmp_path.iterdir()] == []
    assert all(torch.equal(a, b) for a, b in zip(before, model.parameters(), strict=True))
    assert torch.equal(random, torch.get_rng_state())


def test_a_course_pays_for_its_looks_and_checkpoints_and_for_the_last_checkpoint_always(config: TrainConfig) -> None:
    pace = Pace(step=1.0, look=10.0, checkpoint=100.0, spent=0.0)
    settings = config.model_copy(update={"validations": 4, "checkpoints": 2})
    assert pace.seconds(settings, 50) == 50 + 40 + 200
    assert pace.seconds(settings, 1) == 1 + 10 + 100
    assert pace.seconds(settings.model_copy(update={"checkpoints": 0}), 50) == 50 + 40 + 100
    assert pace.besides(settings) == 240


def test_steps_are_surveyed_over_two_passes() -> None:
    steps, work = surveyed_steps(Batches(_examples([4] * 40), rows_per_step=4, seed=0), rows_per_forward=4)
    assert steps.tolist() == [*range(20)]
    assert set(work.tolist()) == {16}


def _examples(sizes: list[int]) -> Examples:
    return Examples(Ragged.of([[1] * size for size in sizes]), length=128, pad_id=0)
