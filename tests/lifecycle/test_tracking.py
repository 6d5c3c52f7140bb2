"""The section `[tracking]` of a recipe."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest
from tests.rundir.trackers.readers import tensorboard

import wenlu
from wenlu.errors import ConfigError, MissingExtra
from wenlu.rundir import Run
from wenlu.rundir.trackers import FOLDER

RECIPE = Path("recipes/tiny.toml")
FAST = ["train.duration=6 steps", "train.allocator=as-is", "check=false", "train.threads=1", "train.dtype=float32"]


def losses(run: Path) -> list[object]:
    return [event.value for event in Run.open(run).events() if event.name == "loss"]


def test_a_tracker_shows_the_training_that_the_folder_holds_and_changes_no_stage(tmp_path: Path) -> None:
    run = tmp_path / "run"
    wenlu.pretrain(RECIPE, run, [*FAST, 'tracking.to=["tensorboard"]'])
    shown = [value for _, value in tensorboard(run / FOLDER / "tensorboard")["loss"]]
    assert shown == pytest.approx(losses(run))
    weights = run / "model" / "model.safetensors"
    before = weights.stat().st_mtime_ns
    wenlu.pretrain(RECIPE, run, FAST)
    assert weights.stat().st_mtime_ns == before
    wenlu.pretrain(RECIPE, run, [*FAST, "seed=1", 'tracking.to=["tensorboard"]'])  # another course, from step 0
    assert [value for _, value in tensorboard(run / FOLDER / "tensorboard")["loss"]] == pytest.approx(losses(run))


def test_a_missing_tracker_is_named_before_anything_is_done(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "wandb", None)
    with pytest.raises(MissingExtra, match=r"wandb is needed to show runs in Weights & Biases; .*'wenlu\[wandb\]'"):
        wenlu.pretrain(RECIPE, tmp_path / "run", [*FAST, 'tracking.to=["wandb"]'])
    assert not (tmp_path / "run").exists()


def test_an_unknown_tracker_is_a_wrong_setting(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=r"tracking\.to\.0: input should be 'tensorboard', 'mlflow', 'wandb' or"):
        wenlu.pretrain(RECIPE, tmp_path / "run", [*FAST, 'tracking.to=["tensorbord"]'])
