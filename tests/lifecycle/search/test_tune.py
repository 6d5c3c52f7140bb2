"""Searches of a tiny recipe: what they find, what they may see, and that being killed changes nothing."""

from __future__ import annotations

import csv
import json
import os
import signal
import subprocess
import sys
import time
import tomllib
import xml.etree.ElementTree as ElementTree
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from wenlu.errors import UsageError
from wenlu.lifecycle import verbs
from wenlu.lifecycle.search.results import Findings
from wenlu.lifecycle.search.tune import tune

pytest.importorskip("optuna")

RECIPE = """
name = "tiny-search"
[task]
name = "text-classification"
[data]
train = "FOLDER/train.csv"
validation = "FOLDER/validation.csv"
test = "FOLDER/test.csv"
text = "mail"
label = "kind"
steps = []
decontaminate = false
[tokenizer]
kind = "char"
vocab_size = "auto"
[model]
family = "bert"
hidden_size = 16
intermediate_size = 32
num_hidden_layers = 1
num_attention_heads = 2
[train]
duration = "12 steps"
context = 32
batch_size = 8
validations = 4
allocator = "as-is"
dtype = "float32"
threads = 1
[tune]
trials = 4
pruner = "none"
[tune.space]
"optimizer.lr" = {low = 1e-4, high = 1e-2, log = true}
"model.hidden_dropout_prob" = [0.0, 0.1]
"""
WORDS = {"spam": ("free", "win", "cash"), "ham": ("lunch", "meet", "notes")}


@pytest.fixture(scope="module")
def recipe(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("search")
    for number, part in enumerate(("train", "validation", "test")):
        with (folder / f"{part}.csv").open("w", newline="") as file:
            writer = csv.writer(file)
            writer.writerow(["mail", "kind"])
            for n in range(40 if part == "train" else 16):
                for label, words in WORDS.items():
                    writer.writerow([f"{words[n % 3]} number {100 * number + n} {words[n // 3 % 3]}", label])
    path = folder / "recipe.toml"
    path.write_text(RECIPE.replace("FOLDER", str(folder)))
    return path


@pytest.fixture(scope="module")
def found(recipe: Path) -> Findings:
    """A search that nobody disturbs."""
    return tune(recipe, recipe.parent / "whole")


def results(found: Findings) -> list[tuple[Any, ...]]:
    return [(row.number, row.state, row.value, row.settings) for row in found.rows]


def test_the_best_trial_is_first_and_its_settings_are_a_recipe(found: Findings) -> None:
    values = [row.value for row in found.rows]
    assert values == sorted(values, key=lambda value: value or 0.0)
    assert len(values) == 4
    best = tomllib.loads((found.path / "best.toml").read_text())
    assert best["optimizer"]["lr"] == found.best.settings["optimizer.lr"]
    assert "tune" not in best
    told = json.loads((found.path / "tune.json").read_text())
    assert told["best"]["value"] == found.best.value
    assert sum(told["importance"].values()) == pytest.approx(1, abs=0.01)


def test_the_folder_is_the_run_of_the_best_trial_and_keeps_no_other_models(found: Findings) -> None:
    assert (found.path / "model" / "model.safetensors").exists()
    models = {path.parent.name for path in found.path.glob("trials/*/model")}
    assert models == {f"{found.best.number:04d}"}
    assert [*found.path.glob("trials/*/checkpoints")] == []
    (row,) = [row for row in verbs.runs(found.path.parent) if row.path.endswith("whole")]
    assert row.state == "finished"


def test_charts_are_svg_with_a_line_for_each_trial(found: Findings) -> None:
    tree = ElementTree.parse(found.path / "parallel.svg")
    assert len(tree.findall(".//{http://www.w3.org/2000/svg}polyline")) == 4
    bars = ElementTree.parse(found.path / "importance.svg")
    assert len(bars.findall(".//{http://www.w3.org/2000/svg}rect")) == 2


def test_a_search_goes_on_the_same_where_it_was_killed_and_where_there_are_no_test_rows(
    recipe: Path, found: Findings, tmp_path: Path
) -> None:
    """The one that is killed has its test part destroyed as soon as trials begin; then both get one trial more."""
    out = tmp_path / "killed"
    command = [sys.executable, "-m", "wenlu", "tune", str(recipe), "--out", str(out)]
    process = subprocess.Popen(command, env={**os.environ, "OMP_NUM_THREADS": "1"}, stderr=subprocess.PIPE)
    events = out / "trials" / "0001" / "events.jsonl"
    deadline = time.monotonic() + 120
    while not (events.exists() and '"validation"' in events.read_text()):
        assert process.poll() is None, process.stderr.read().decode() if process.stderr else ""
        assert time.monotonic() < deadline, "no trial was validated"
        time.sleep(0.005)
    os.kill(process.pid, signal.SIGKILL)
    process.communicate()
    (out / "data" / "test.jsonl").write_bytes(b"\xff not a record")
    assert [path for path in (out / "seen").rglob("*") if path.stem == "test"] == []
    assert (out / "seen" / "data" / "validation.jsonl").exists()
    resumed = tune(recipe, out)
    assert results(resumed) == results(found)


def test_the_winner_of_asha_was_paused_and_comes_out_as_if_it_had_not_been(recipe: Path, found: Findings) -> None:
    halved = tune(recipe, recipe.parent / "asha", ["tune.pruner=asha", "tune.reduction=2"])
    values = {row.number: row.value for row in found.rows}
    finished = [row for row in halved.rows if row.state == "trained"]
    assert 1 <= len(finished) < 4
    assert all(row.value == values[row.number] for row in finished)
    assert {row.validations for row in halved.rows} == {1, 2, 4}
    assert {row.state for row in halved.rows[len(finished) :]} == {"paused"}


def test_a_measure_of_the_task_is_scored_on_the_validation_part(recipe: Path) -> None:
    accurate = tune(recipe, recipe.parent / "accurate", ["tune.trials=2", "tune.metric=accuracy"])
    assert (accurate.metric, accurate.better) == ("accuracy", "higher")
    assert [row.value for row in accurate.rows] == sorted((row.value or 0.0 for row in accurate.rows), reverse=True)
    assert all(((row.value or 0.0) * 32).is_integer() for row in accurate.rows)  # of 32 texts


def test_another_search_is_not_mixed_into_one(recipe: Path, found: Findings) -> None:
    with pytest.raises(UsageError, match="holds a search of other settings"):
        tune(recipe, found.path, ["tune.sampler=random"])


def test_settings_that_fit_alone_but_not_together_are_a_failed_trial(recipe: Path) -> None:
    space = 'tune.space={"model.num_attention_heads" = [2, 4], "model.hidden_size" = [16, 18]}'
    mixed = tune(recipe, recipe.parent / "mixed", [space, "tune.trials=4", "tune.sampler=random", "seed=4"])
    failed = [replace(row) for row in mixed.rows if row.state == "failed"]
    assert failed
    assert all(row.settings == {"model.num_attention_heads": 4, "model.hidden_size": 18} for row in failed)
    assert all("18" in (row.why or "") for row in failed)


@pytest.mark.skipif("WENLU_PROOF" not in os.environ, reason="starts two processes that import torch")
def test_processes_share_the_trials(recipe: Path, tmp_path: Path) -> None:
    shared = tune(recipe, tmp_path / "shared", ["tune.processes=2", "tune.trials=6", "tune.pruner=asha"])
    assert len(shared.rows) == 6
    assert {row.number for row in shared.rows} == set(range(6))
    assert shared.best.state == "trained"
