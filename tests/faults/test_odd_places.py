"""Folders that are read-only, linked, or not ours, and clocks that jump."""

from __future__ import annotations

import os
import subprocess
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from tempfile import TemporaryDirectory

import pytest
import torch

from wenlu.errors import ResourceError
from wenlu.models import LanguageModel
from wenlu.progress import Progress
from wenlu.rundir import Run, checkpoint
from wenlu.tasks import CausalLM
from wenlu.training import AdamWConfig, ScheduleConfig, TrainConfig, TrainData, TrainState, train

NOBODY = 65534

NewModel = Callable[[], LanguageModel]
NewRun = Callable[[str], Run]


def go(config: TrainConfig, model: LanguageModel, data: TrainData, run: Run, progress: Progress) -> TrainState:
    optimizer, schedule = AdamWConfig(lr=0.01), ScheduleConfig(warmup_steps=2)
    return train(
        config, optimizer, schedule, model=model, task=CausalLM(), data=data, run=run, seed=1, progress=progress
    )


class AtStep(Progress):
    def __init__(self, step: int, act: Callable[[], object]) -> None:
        self.step, self.act = step, act
        self.warnings: list[str] = []

    def update(self, done: float, **facts: str) -> None:  # noqa: ARG002
        if done == self.step:
            self.act()

    def warn(self, message: str) -> None:
        self.warnings.append(message)


def test_a_clock_that_jumps_changes_neither_weights_nor_the_choice_of_the_newest_checkpoint(
    config: TrainConfig, new_model: NewModel, data: TrainData, new_run: NewRun, monkeypatch: pytest.MonkeyPatch
) -> None:
    whole, model, run = new_model(), new_model(), new_run("jumps")
    go(config, whole, data, new_run("whole"), Progress())
    real = time.time

    def back_ten_years() -> None:
        monkeypatch.setattr(time, "time", lambda: real() - 3.2e8)
        for path in run.checkpoints.rglob("*"):
            os.utime(path, (4e9, 4e9))  # the older one now looks newer

    go(config, model, data, run, AtStep(5, back_ten_years))
    assert all(torch.equal(a, b) for a, b in zip(whole.parameters(), model.parameters(), strict=True))
    found = run.newest_checkpoint()
    assert found is not None
    assert found.step == 12


def test_a_linked_folder_of_checkpoints_is_followed_and_stays_a_link(
    config: TrainConfig, new_model: NewModel, data: TrainData, new_run: NewRun, tmp_path: Path
) -> None:
    run = new_run("linked")
    (tmp_path / "elsewhere").mkdir()
    run.checkpoints.symlink_to(tmp_path / "elsewhere")
    go(config, new_model(), data, run, Progress())
    assert run.checkpoints.is_symlink()
    assert sorted(path.name for path in (tmp_path / "elsewhere").iterdir()) == ["step-00000008", "step-00000012"]
    found = run.newest_checkpoint()
    assert found is not None
    assert found.step == 12


def test_a_link_to_nowhere_is_an_error_that_names_it(tmp_path: Path) -> None:
    (tmp_path / "checkpoints").symlink_to(tmp_path / "gone")
    with pytest.raises(ResourceError, match="step-00000001: could not be written"):
        checkpoint.save(tmp_path / "checkpoints", 1, {"w": torch.zeros(2)}, {})


@pytest.fixture
def small_disk(tmp_path: Path) -> Iterator[Path]:
    """A file system of its own, with room for forty names."""
    disk = tmp_path / "disk"
    disk.mkdir()
    options = ["-t", "tmpfs", "-o", "size=8m,nr_inodes=40", "tmpfs", str(disk)]
    mounted = subprocess.run(["mount", *options], capture_output=True, text=True)
    if mounted.returncode != 0:
        pytest.skip(f"cannot mount a disk here: {mounted.stderr.strip()}")
    yield disk
    subprocess.run(["umount", str(disk)], check=True)


def test_a_disk_that_becomes_read_only_does_not_end_training_before_its_end(
    config: TrainConfig, new_model: NewModel, data: TrainData, small_disk: Path
) -> None:
    with Run.create(small_disk / "run", "", {}) as run:
        run.checkpoints.mkdir()
        (small_disk / "keeps").mkdir()
        bound = ["mount", "--bind", str(small_disk / "keeps"), str(run.checkpoints)]
        subprocess.run(bound, check=True)
        read_only = ["mount", "-o", "remount,bind,ro", str(run.checkpoints)]
        progress = AtStep(5, lambda: subprocess.run(read_only, check=True))
        try:
            with pytest.raises(ResourceError, match="could not be written: Read-only file system"):
                go(config, new_model(), data, run, progress)
        finally:
            subprocess.run(["umount", str(run.checkpoints)], check=True)
        assert [message.partition(": ")[0] for message in progress.warnings] == [
            "no checkpoint at step 8, training goes on"
        ]
        found = checkpoint.newest_good(small_disk / "keeps")
        assert found is not None
        assert found.step == 4


def test_a_disk_without_room_for_names_leaves_the_old_checkpoint(small_disk: Path) -> None:
    checkpoint.save(small_disk / "c", 1, {"w": torch.zeros(2)}, {})
    made = 0
    while True:
        try:
            (small_disk / f"{made}").touch()
        except OSError:
            break
        made += 1
    (small_disk / "0").unlink()
    (small_disk / "1").unlink()
    with pytest.raises(ResourceError, match="No space left on device; what was there before is untouched"):
        checkpoint.save(small_disk / "c", 2, {"w": torch.ones(2)}, {})
    assert [path.name for path in (small_disk / "c").iterdir()] == ["step-00000001"]


def test_a_folder_without_permission_is_an_error_that_names_it() -> None:
    """The superuser, who may write everywhere, becomes nobody for it."""
    with TemporaryDirectory() as home:
        folder = Path(home) / "checkpoints"
        folder.mkdir()
        Path(home).chmod(0o755)
        folder.chmod(0o555)
        user = os.geteuid()
        if user == 0:
            os.seteuid(NOBODY)
        try:
            with pytest.raises(ResourceError, match="step-00000001: could not be written: Permission denied"):
                checkpoint.save(folder, 1, {"w": torch.zeros(2)}, {})
        finally:
            os.seteuid(user)
            folder.chmod(0o755)
