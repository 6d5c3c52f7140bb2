"""A whole tiny life on the standard library: what `wenlu run` promises about stages, caches and resuming."""

from __future__ import annotations

import hashlib
import json
import os
import shutil
import signal
import subprocess
import sys
import time
import tomllib
from pathlib import Path

import pytest
import torch

import wenlu
from wenlu.config import load
from wenlu.errors import ConfigError, UsageError
from wenlu.evaluation.comparison import compare
from wenlu.lifecycle.cache import StageCache
from wenlu.lifecycle.recipe import Recipe
from wenlu.rundir import Run

RECIPE = Path("recipes/tiny.toml")
ARCHITECTURES = Path("recipes/architectures.toml")
PROOF = os.environ.get("WENLU_PROOF") == "1"
SIGNALS = [(signal.SIGINT, 130), (signal.SIGTERM, 75)]
"""`make test` sends SIGTERM in tests/faults/test_sigterm.py alone."""
FAST = ["train.duration=12 steps", "train.allocator=as-is", "check=false", "train.threads=1", "train.dtype=float32"]


@pytest.fixture(scope="module")
def life(tmp_path_factory: pytest.TempPathFactory) -> Path:
    out = tmp_path_factory.mktemp("life") / "run"
    wenlu.run(RECIPE, out, FAST)
    return out


def test_lives_are_compared_by_what_they_mean_by_the_same_texts(life: Path) -> None:
    found = compare([life, life])
    assert (found.headline, found.pairs[0].verdict) == ("bits_per_byte", "not distinguishable")
    assert {"perplexity", "bits_per_byte"} <= found.values.keys()


def test_a_run_tells_its_numbers_by_step_to_python(life: Path) -> None:
    summary = wenlu.run(str(RECIPE), str(life), FAST)
    assert list(summary.values("loss").items()) == losses(life)
    assert summary.values("lost") == {}


@pytest.fixture
def copy(life: Path, tmp_path: Path) -> Path:
    """The finished life once more, to go on from."""
    return shutil.copytree(life, tmp_path / "run")


def times(out: Path) -> dict[str, int]:
    names = ["data/train.jsonl", "tokenizer/tokenizer.json", "tokens/train/manifest.json", "model/model.safetensors"]
    return {name: (out / name).stat().st_mtime_ns for name in [*names, "evaluation.json", "samples.json"]}


def test_a_life_leaves_a_whole_run_directory(life: Path) -> None:
    expected = {"config.toml", "provenance.json", "events.jsonl", "checkpoints", "model", "data", "tokenizer", "tokens"}
    expected |= {"evaluation.json", "samples.json", "report.html", "stages.json"}
    assert expected <= {entry.name for entry in life.iterdir()}
    stages = {"data", "tokenizer", "tokens", "train", "evaluate", "samples", "report"}
    assert set(StageCache(life).seconds()) == stages


def test_the_result_names_both_models(life: Path) -> None:
    evaluation = json.loads((life / "evaluation.json").read_text())
    assert 0 < evaluation["ngram_bits_per_byte"] < 8
    assert 0 < evaluation["bits_per_byte"] < 20
    bits = next(metric for metric in evaluation["metrics"] if metric["name"] == "bits_per_byte")
    assert bits["low"] <= bits["value"] <= bits["high"]
    assert bits["value"] == evaluation["bits_per_byte"]


@pytest.mark.parametrize(
    ("settings", "kept"),
    [
        (["train.ema=0.9"], "ema.{name}"),
        (["optimizer.name=schedule-free", "schedule.name=constant"], "optimizer.{name}.average"),
    ],
    ids=["ema", "schedule-free"],
)
def test_the_saved_model_is_the_average(settings: list[str], kept: str, copy: Path) -> None:
    wenlu.pretrain(RECIPE, copy, [*FAST, *settings])
    with Run.open(copy) as run:
        checkpoint = run.newest_checkpoint()
    assert checkpoint is not None
    for name, weight in wenlu.load(copy).model.named_parameters():
        assert torch.equal(weight, checkpoint.tensors[kept.format(name=name)]), name
        assert not torch.equal(weight, checkpoint.tensors[f"weights.{name}"]), name


def test_averages_are_of_one_kind() -> None:
    both = ["train.ema=0.9", "optimizer.name=schedule-free", "schedule.name=constant"]
    with pytest.raises(ConfigError, match=r"train\.ema: .*averages the weights itself; remove one of them"):
        load(Recipe, RECIPE, both)


def test_the_resolved_settings_reproduce_the_run(life: Path, tmp_path: Path) -> None:
    wenlu.run(life / "config.toml", tmp_path / "again")
    for name in ("model/model.safetensors", "tokenizer/tokenizer.json", "data/train.jsonl"):
        assert (tmp_path / "again" / name).read_bytes() == (life / name).read_bytes(), name


def test_a_second_run_does_nothing(life: Path) -> None:
    before = {path: path.stat().st_mtime_ns for path in life.rglob("*") if path.name != ".lock"}
    wenlu.run(RECIPE, life, FAST)
    assert {path: path.stat().st_mtime_ns for path in life.rglob("*") if path.name != ".lock"} == before


def test_the_run_says_what_it_was_made_from(life: Path) -> None:
    provenance = json.loads((life / "provenance.json").read_text())
    digest = hashlib.sha256((life / "data/train.jsonl").read_bytes()).hexdigest()
    assert provenance["data"]["data/train.jsonl"] == f"sha256:{digest}"
    assert provenance["seeds"] == {"run": 0}
    settings = tomllib.loads((life / "config.toml").read_text())
    assert settings["train"]["duration"] == "12 steps"
    assert settings["train"]["device"] == "cpu"
    assert settings["model"]["vocab_size"] == 512


def test_a_changed_stage_reruns_itself_and_what_follows(copy: Path) -> None:
    before = times(copy)
    wenlu.run(RECIPE, copy, [*FAST, "optimizer.lr=1e-3"])
    after = times(copy)
    changed = {name for name in before if before[name] != after[name]}
    assert changed == {"model/model.safetensors", "evaluation.json", "samples.json"}


def test_changing_only_the_samples_reruns_only_them(copy: Path) -> None:
    before = times(copy)
    wenlu.run(RECIPE, copy, [*FAST, "generate.max_new_tokens=5"])
    after = times(copy)
    assert {name for name in before if before[name] != after[name]} == {"samples.json"}


@pytest.mark.parametrize(("number", "code"), SIGNALS if PROOF else SIGNALS[:1])
def test_a_stopped_run_resumes_to_the_weights_of_an_uninterrupted_one(
    life: Path, tmp_path: Path, number: signal.Signals, code: int
) -> None:
    out = tmp_path / "run"
    wenlu.tokenizer(RECIPE, out, FAST)
    command = [sys.executable, "-m", "wenlu", "run", str(RECIPE), *FAST, "--out", str(out)]
    process = subprocess.Popen(command, stderr=subprocess.PIPE, text=True)
    wait_for_events(out, process)
    process.send_signal(number)
    _, errors = process.communicate(timeout=120)
    assert process.returncode == code, errors
    assert "the same command goes on from there" in errors
    assert not (out / "model").exists()
    wenlu.run(RECIPE, out, FAST)
    assert (out / "model/model.safetensors").read_bytes() == (life / "model/model.safetensors").read_bytes()
    assert losses(out) == losses(life)


def test_a_folder_that_is_no_run_is_left_alone(tmp_path: Path) -> None:
    (tmp_path / "thesis.txt").write_text("years of work")
    with pytest.raises(UsageError, match=r"thesis\.txt"):
        wenlu.run(RECIPE, tmp_path, FAST)
    assert os.listdir(tmp_path) == ["thesis.txt"]


def test_wrong_settings_leave_nothing_behind(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=r"model.*hiden_size: unknown key of llama; did you mean hidden_size"):
        wenlu.run(RECIPE, tmp_path / "run", ["model.hiden_size=3"])
    assert not (tmp_path / "run").exists()


@pytest.mark.parametrize(
    "settings",
    [["model.family=bert"], ["model.parameters=100000", 'architectures.families=["llama", "bert"]']],
    ids=["model", "architectures"],
)
def test_a_family_that_sees_what_it_is_to_predict_is_refused(tmp_path: Path, settings: list[str]) -> None:
    with pytest.raises(ConfigError, match=r"'bert' reads both ways, .* families that continue text: gpt2, llama"):
        wenlu.run(ARCHITECTURES if len(settings) > 1 else RECIPE, tmp_path / "run", settings)


def test_a_family_that_writes_another_text_is_refused(tmp_path: Path) -> None:
    with pytest.raises(
        ConfigError, match=r"'t5' reads one text and writes another, .* that continue text: gpt2, llama"
    ):
        wenlu.run(RECIPE, tmp_path / "run", ["model.family=t5"])


def wait_for_events(out: Path, process: subprocess.Popen[str], count: int = 3) -> None:
    """Until a few steps are logged, so that the signal arrives in the middle of training."""
    deadline = time.monotonic() + 120
    while time.monotonic() < deadline and process.poll() is None:
        events = out / "events.jsonl"
        if events.exists() and events.read_text().count('"loss"') >= count:
            return
        time.sleep(0.01)
    raise AssertionError("training did not begin")


def losses(out: Path) -> list[tuple[int, float]]:
    lines = (json.loads(line) for line in (out / "events.jsonl").read_text().splitlines())
    return [(line["step"], line["value"]) for line in lines if line["name"] == "loss"]
