"""Whatever happens to a tracker's process, training is the same bit for bit, and the run says once what is behind."""

from __future__ import annotations

import os
import signal
import time
from collections.abc import Callable
from pathlib import Path

import pytest
import torch
from tests.rundir.trackers.readers import tensorboard

from wenlu.models import family
from wenlu.progress import Progress
from wenlu.rundir import Run
from wenlu.rundir.lock import holder
from wenlu.rundir.trackers import FOLDER
from wenlu.rundir.trackers.follow import follow
from wenlu.rundir.trackers.process import log_file, tracked
from wenlu.tasks import CausalLM
from wenlu.training import AdamWConfig, ScheduleConfig, TrainConfig, TrainData, train

Hindrance = Callable[[Path], None]


class Notes(Progress):
    def __init__(self) -> None:
        self.warnings: list[str] = []

    def warn(self, message: str) -> None:
        self.warnings.append(message)


def process_of(run: Path) -> int:
    """The tracker's process, once it has taken hold of its folder."""
    while (found := holder(run / FOLDER / "tensorboard" / ".lock")) in (None, 0):
        time.sleep(0.01)
    return int(found)


def go(folder: Path, new_data: Callable[..., object], tokenizer: object, hinder: Hindrance | None) -> tuple[Run, Notes]:
    """Train a tiny model with a tracker that is hindered, or (None) without one."""
    from wenlu.corpus.packing import Windows

    data = TrainData(Windows(new_data(tokenizer), 16), None)  # type: ignore[arg-type]
    torch.manual_seed(3)
    llama = family("llama")
    sizes = {"hidden_size": 16, "intermediate_size": 32, "num_hidden_layers": 1, "num_attention_heads": 2}
    model = llama.build(llama.config(vocab_size=data.train.data.vocab_size, max_position_embeddings=32, **sizes))
    config = TrainConfig(duration="6 steps", context=16, global_batch_tokens=32, checkpoints=1)  # type: ignore[arg-type]
    notes = Notes()
    run = Run.create(folder, "", {})
    if hinder is before:
        hinder(folder)
    with run, tracked(run, ["tensorboard"] if hinder else [], notes, last_seconds=2.0 if hinder is stop else 120.0):
        if hinder in (kill, stop):
            hinder(folder)
        while hinder in (kill, before) and not notes.warnings:  # said while training goes on, not only at its end
            time.sleep(0.01)
        arguments = {"model": model, "task": CausalLM(), "data": data, "run": run, "seed": 1, "progress": notes}
        train(config, AdamWConfig(lr=0.01), ScheduleConfig(), **arguments)  # type: ignore[arg-type]
    return run, notes


def before(run: Path) -> None:
    """A file stands where the tracker's folder should be, so that it raises."""
    (run / FOLDER).mkdir()
    (run / FOLDER / "tensorboard").write_text("in the way")


def kill(run: Path) -> None:
    os.kill(process_of(run), signal.SIGKILL)


def stop(run: Path) -> None:
    os.kill(process_of(run), signal.SIGSTOP)


def healthy(run: Path) -> None:
    pass


@pytest.mark.parametrize("hinder", [before, kill, stop, healthy], ids=["raises", "is killed", "hangs", "is well"])
def test_training_is_the_same_whatever_its_tracker_does(
    hinder: Hindrance, tmp_path: Path, new_data: Callable[..., object], new_tokenizer: Callable[..., object]
) -> None:
    alone, _ = go(tmp_path / "alone", new_data, new_tokenizer(), None)
    run, notes = go(tmp_path / "run", new_data, new_tokenizer(), hinder)
    ours, other = run.newest_checkpoint(), alone.newest_checkpoint()
    assert ours is not None
    assert other is not None
    assert ours.tensors.keys() == other.tensors.keys()
    assert all(torch.equal(tensor, other.tensors[name]) for name, tensor in ours.tensors.items())
    assert losses(run) == losses(alone)
    said = [event.value for event in run.events() if event.name == "tracker"]
    if hinder is healthy:
        assert notes.warnings == said == []
        assert [value for _, value in tensorboard(run.path / FOLDER / "tensorboard")["loss"]] == pytest.approx(
            losses(run)
        )
    else:
        assert notes.warnings == said
        (message,) = notes.warnings
        assert "tensorboard is behind the run, which is whole" in message
        assert f"wenlu runs track {run.path} --to tensorboard" in message
    if hinder is before:
        assert "FileExistsError" in log_file(run.path, "tensorboard").read_text()
        (run.path / FOLDER / "tensorboard").unlink()
        follow(run.path, "tensorboard")
        assert len(tensorboard(run.path / FOLDER / "tensorboard")["loss"]) == 6


def losses(run: Run) -> list[float]:
    return [event.value for event in run.events() if event.name == "loss"]  # type: ignore[misc]
