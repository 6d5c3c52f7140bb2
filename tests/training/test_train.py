from __future__ import annotations

import math
import os
import signal
from collections.abc import Callable
from dataclasses import replace
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from wenlu.config import Duration
from wenlu.corpus.packing import PackedRow, Windows
from wenlu.errors import Interrupted, ResourceError, UsageError, WenluError
from wenlu.models import LanguageModel
from wenlu.progress import QUIET, Progress
from wenlu.rundir import Run
from wenlu.rundir.checkpoint import Checkpoint
from wenlu.tasks import Batch, CausalLM, Draw, Loss
from wenlu.tokenizers import Tokenizer
from wenlu.training import AdamWConfig, ScheduleConfig, TrainConfig, TrainData, TrainState, resolve_duration, train
from wenlu.training.batches import Batches
from wenlu.training.train import accumulate, due
from wenlu.training.validation import validate

ADAMW = AdamWConfig(lr=0.01)
SCHEDULE = ScheduleConfig(warmup_steps=2)
NewModel = Callable[[], LanguageModel]
NewRun = Callable[[str], Run]


def go(config: TrainConfig, model: LanguageModel, data: TrainData, run: Run, **parts: object) -> TrainState:
    arguments = {"task": CausalLM(), "seed": 1, **parts}
    return train(config, ADAMW, SCHEDULE, model=model, data=data, run=run, **arguments)  # type: ignore[arg-type]


def values(run: Run, name: str) -> list[tuple[int, float | str]]:
    return [(event.step, event.value) for event in run.events() if event.name == name]


def test_training_learns(config: TrainConfig, new_model: NewModel, data: TrainData, new_run: NewRun) -> None:
    run = new_run("a")
    go(config.model_copy(update={"duration": Duration(60, "steps")}), new_model(), data, run)
    losses = [value for _, value in values(run, "loss")]
    assert float(losses[-1]) < 0.5 * float(losses[0])


def test_the_first_loss_of_a_zero_head_is_that_of_guessing(
    config: TrainConfig, new_model: NewModel, data: TrainData, new_run: NewRun
) -> None:
    model, run = new_model(), new_run("a")
    torch.nn.init.zeros_(model.lm_head.weight)
    go(config, model, data, run)
    assert values(run, "loss")[0] == (1, pytest.approx(math.log(data.train.data.vocab_size)))


def test_two_runs_are_equal_bit_for_bit(
    config: TrainConfig, new_model: NewModel, data: TrainData, new_run: NewRun
) -> None:
    first, second = new_model(), new_model()
    go(config, first, data, new_run("a"))
    go(config, second, data, new_run("b"))
    assert all(torch.equal(a, b) for a, b in zip(first.parameters(), second.parameters(), strict=True))


def test_accumulated_gradients_equal_those_of_one_large_batch(
    config: TrainConfig, new_model: NewModel, data: TrainData
) -> None:
    """The documents end at different places, so the micro-batches hold different numbers of targets."""
    gradients = []
    for micro in (64, 32, 16):
        state = TrainState(new_model(), ADAMW)
        totals = accumulate(
            state,
            CausalLM(),
            Batches(data.train, config.rows_per_step, seed=0),
            config.model_copy(update={"micro_batch_tokens": micro}),
        )
        gradients.append([torch.tensor([totals.sum, totals.count]), *state.masters.gradients()])
    for other in gradients[1:]:
        for a, b in zip(gradients[0], other, strict=True):
            torch.testing.assert_close(a, b)


@pytest.mark.parametrize("keep_best", [False, True])
def test_a_run_that_was_stopped_resumes_to_the_same_weights_and_events(
    config: TrainConfig, new_model: NewModel, data: TrainData, new_run: NewRun, keep_best: bool
) -> None:
    config = config.model_copy(update={"validations": 6, "keep_best": keep_best})
    whole, run = new_model(), new_run("whole")
    go(config, whole, data, run)

    class StopAt(Progress):
        def update(self, done: float, **facts: str) -> None:  # noqa: ARG002
            if done == 5:
                os.kill(os.getpid(), signal.SIGINT)

    stopped = new_run("stopped")
    with pytest.raises(Interrupted, match=r"stopped after step 5 of 12; the same command goes on from there"):
        go(config, new_model(), data, stopped, progress=StopAt())
    model = new_model()
    go(config, model, data, stopped)
    assert all(torch.equal(a, b) for a, b in zip(whole.parameters(), model.parameters(), strict=True))
    for name in ("loss", "validation", "learning_rate", "gradient_norm"):
        assert values(stopped, name) == values(run, name)


def test_the_best_weights_are_kept_and_patience_ends_the_run(
    config: TrainConfig, new_model: NewModel, data: TrainData, new_run: NewRun
) -> None:
    steps = {"duration": Duration(200, "steps"), "validations": 100}
    run, model = new_run("a"), new_model()
    config = config.model_copy(update={**steps, "keep_best": True, "patience": 2})
    state = train(
        config, AdamWConfig(lr=1.0), SCHEDULE, model=model, task=CausalLM(), data=data, run=run, seed=1
    )  # learns at first, then jumps about
    found = [float(value) for _, value in values(run, "validation")]
    assert state.step < 200
    assert min(found) not in found[-2:]
    assert data.validation is not None
    kept = validate(CausalLM(), model, data.validation, config)[0].value
    assert kept == pytest.approx(min(found), rel=1e-12)


def test_a_bfloat16_run_resumes_from_its_float32_masters(
    config: TrainConfig, new_model: Callable[..., LanguageModel], data: TrainData, new_run: NewRun
) -> None:
    run = new_run("a")
    go(config, new_model(torch.bfloat16), data, run)
    checkpoint = run.newest_checkpoint()
    assert checkpoint is not None
    weights = {name: tensor for name, tensor in checkpoint.tensors.items() if name.startswith("weights.")}
    assert {tensor.dtype for tensor in weights.values()} == {torch.float32}
    state = TrainState(new_model(torch.bfloat16), ADAMW)
    state.restore(checkpoint.tensors, checkpoint.state)
    for name, weight in state.model.named_parameters():
        assert torch.equal(weight, weights[f"weights.{name}"].bfloat16())


class Poisoned(CausalLM):
    """Gives an infinite loss in the given calls."""

    def __init__(self, calls: set[int]) -> None:
        self.calls, self.count = calls, 0

    def loss(self, model: LanguageModel, batch: Batch) -> Loss:
        loss = super().loss(model, batch)
        self.count += 1
        return Loss(loss.sum * math.inf, loss.count) if self.count - 1 in self.calls else loss


def test_a_step_with_an_infinite_gradient_moves_nothing_and_is_counted(
    config: TrainConfig, new_model: NewModel, data: TrainData
) -> None:
    state = TrainState(new_model(), ADAMW)
    before = [weight.detach().clone() for weight in state.model.parameters()]
    totals = accumulate(state, Poisoned({0}), Batches(data.train, 4, seed=0), config)
    norm = state.update(count=totals.count, factor=1.0, clip_norm=1.0)
    assert not math.isfinite(norm)
    assert state.skipped == [0]
    assert all(torch.equal(a, b) for a, b in zip(before, state.model.parameters(), strict=True))
    assert state.optimizer.tensors() == {}


def test_a_run_that_keeps_diverging_is_stopped_with_advice(
    config: TrainConfig, new_model: NewModel, data: TrainData, new_run: NewRun
) -> None:
    task = Poisoned(set(range(2, 100)))
    with pytest.raises(WenluError, match=r"training diverged: 5 of the last 100 gradients.*Try a lower optimizer\.lr"):
        go(config.model_copy(update={"validations": 0}), new_model(), data, new_run("a"), task=task)


def test_each_epoch_reads_every_row_once_in_another_order(data: TrainData) -> None:
    count = len(data.train)
    batches = Batches(data.train, rows_per_step=1, seed=5)
    epochs = [[int(batches.rows(epoch * count + i)[0]) for i in range(count)] for epoch in range(3)]
    assert all(sorted(rows) == list(range(count)) for rows in epochs)
    assert all(a != b for a, b in pairwise(epochs))


def test_the_order_of_rows_does_not_depend_on_how_many_a_step_takes(data: TrainData) -> None:
    one, four = (Batches(data.train, rows, seed=5) for rows in (1, 4))
    assert np.concatenate([four.rows(step) for step in range(9)]).tolist() == [int(one.rows(i)[0]) for i in range(36)]


def test_a_target_in_another_document_than_its_input_is_ignored() -> None:
    rows = PackedRow(ids=np.array([[1, 5, 6, 1, 1, 7]]), segments=np.array([[0, 0, 0, 0, 1, 1]]))
    batch = CausalLM().batch(Draw.of(rows))
    assert batch.targets.tolist() == [[5, 6, 1, -100, 7]]
    assert batch.segments is not None
    assert batch.segments.tolist() == [[0, 0, 0, 0, 1]]
    assert CausalLM().batch(Draw.of(rows, separate_documents=False)).segments is None


@pytest.mark.parametrize(("steps", "times"), [(12, 3), (10, 4), (7, 7), (5, 0), (3, 10)])
def test_what_happens_evenly_happens_so_often_and_last_at_the_end(steps: int, times: int) -> None:
    happened = [step for step in range(1, steps + 1) if due(step, steps, times)]
    assert len(happened) == min(steps, times)
    assert not times or happened[-1] == steps


@pytest.mark.parametrize(
    ("duration", "steps"),
    [
        (Duration(7, "steps"), 7),
        (Duration(640, "tokens"), 10),
        (Duration(641, "tokens"), 11),
        (Duration(2, "epochs"), None),
    ],
)
def test_durations_become_steps(
    config: TrainConfig, new_model: NewModel, data: TrainData, duration: Duration, steps: int | None
) -> None:
    resolved = resolve_duration(
        config.model_copy(update={"duration": duration}), ADAMW, new_model(), CausalLM(), data, seed=0
    )
    expected = math.ceil(2 * len(data.train) / 4) if steps is None else steps
    assert resolved.duration == Duration(expected, "steps")


def test_a_probe_changes_neither_weights_nor_random_numbers(
    config: TrainConfig, new_model: NewModel, data: TrainData
) -> None:
    model = new_model()
    before, random = [weight.detach().clone() for weight in model.parameters()], torch.get_rng_state()
    resolved = resolve_duration(
        config.model_copy(update={"duration": Duration(2, "seconds")}), ADAMW, model, CausalLM(), data, seed=0
    )
    assert resolved.duration.unit == "steps"
    assert resolved.duration.amount >= 1
    assert all(torch.equal(a, b) for a, b in zip(before, model.parameters(), strict=True))
    assert torch.equal(random, torch.get_rng_state())


def test_a_time_that_does_not_suffice_for_a_step_is_an_error(
    config: TrainConfig, new_model: NewModel, data: TrainData
) -> None:
    short = config.model_copy(update={"duration": Duration(1e-6, "seconds")})
    with pytest.raises(UsageError, match="is too short: a step takes"):
        resolve_duration(short, ADAMW, new_model(), CausalLM(), data, seed=0)


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"global_batch_tokens": 100}, r"global_batch_tokens \(100\) is not a multiple of context \(256\)"),
        ({"global_batch_tokens": 1024, "micro_batch_tokens": 768}, r"not a multiple of micro_batch_tokens \(768\)"),
        ({"global_batch_tokens": 1024, "micro_batch_tokens": 128}, r"micro_batch_tokens \(128\) is not a multiple of"),
    ],
)
def test_batch_sizes_that_do_not_fit_are_refused(settings: dict[str, int], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        TrainConfig(**settings)  # type: ignore[arg-type]


@pytest.mark.parametrize(("most", "rows"), [(1024, 2), (1023, 1), (100, 1), (10**6, 4)])
def test_examples_of_a_forward_pass_divide_the_batch_and_are_at_most_so_many(most: int, rows: int) -> None:
    assert TrainConfig(batch_size=4, context=512, micro_batch_tokens=most).rows_per_forward == rows


def test_windows_shorter_than_the_text_say_so(data: TrainData) -> None:
    with pytest.raises(WenluError, match="do not fill one row"):
        Windows(data.train.data, 10**6)
    assert QUIET.update(1) is None


def test_a_run_shows_what_the_model_says_along_the_way(
    config: TrainConfig, new_model: NewModel, data: TrainData, new_run: NewRun, tokenizer: Tokenizer
) -> None:
    run = new_run("a")
    go(config, new_model(), replace(data, prompt="the cat", tokenizer=tokenizer), run)
    samples = values(run, "sample")
    assert [step for step, _ in samples] == [6, 12]
    assert all(str(text).startswith("the cat") for _, text in samples)


def test_samples_change_nothing_that_is_learnt(
    config: TrainConfig, new_model: NewModel, data: TrainData, new_run: NewRun, tokenizer: Tokenizer
) -> None:
    silent, talking = new_model(), new_model()
    go(config, silent, data, new_run("a"))
    go(config, talking, replace(data, prompt="the cat", tokenizer=tokenizer), new_run("b"))
    assert all(torch.equal(a, b) for a, b in zip(silent.parameters(), talking.parameters(), strict=True))


class FullDisk(Run):
    """Refuses the first checkpoint."""

    def save_checkpoint(self, step: int, *args: Any, **kwargs: Any) -> Checkpoint:
        if step == 4:
            raise ResourceError("checkpoints: could not be written: No space left on device")
        return super().save_checkpoint(step, *args, **kwargs)


def test_a_full_disk_does_not_end_training(
    config: TrainConfig, new_model: NewModel, data: TrainData, tmp_path: Path, new_run: NewRun
) -> None:
    warnings: list[str] = []

    class Listening(Progress):
        def warn(self, message: str) -> None:
            warnings.append(message)

    whole, model = new_model(), new_model()
    go(config, whole, data, new_run("whole"))
    with FullDisk.create(tmp_path / "full", "", {}) as run:
        go(config, model, data, run, progress=Listening())
        assert sorted(path.name for path in run.checkpoints.iterdir())[-1].endswith("12")
    assert warnings == [
        "no checkpoint at step 4, training goes on: checkpoints: could not be written: No space left on device"
    ]
    assert all(torch.equal(a, b) for a, b in zip(whole.parameters(), model.parameters(), strict=True))
