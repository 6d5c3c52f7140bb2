"""What is made of a run of one's own: judged by what the run held out, and trained on where a part of it went."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from tests.tasks.tiny import ENGLISH

import wenlu
from wenlu.lifecycle import verbs
from wenlu.lifecycle.compressing.sweep import Sweep, compress
from wenlu.models.quantised import quantised_layers

LABELS = """
name = "labels"
check = false
[task]
name = "text-classification"
[data]
train = "FILE"
steps = []
split_by = "random"
validation = 0.2
test = 0.3
[tokenizer]
kind = "char"
vocab_size = "auto"
[model]
family = "bert"
hidden_size = 32
intermediate_size = 64
num_hidden_layers = 1
num_attention_heads = 2
[train]
duration = "30 steps"
context = 32
batch_size = 16
validations = 1
allocator = "as-is"
[optimizer]
name = "adamw"
lr = 3e-3
"""


@pytest.fixture(scope="module")
def place(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A trained classifier in `run`."""
    folder = tmp_path_factory.mktemp("compress-run")
    rows = [{"text": f"{text[:24]} {n}", "label": text.split()[1]} for n, text in enumerate(ENGLISH * 2)]
    (folder / "rows.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    (folder / "recipe.toml").write_text(LABELS.replace("FILE", str(folder / "rows.jsonl")))
    verbs.pretrain(folder / "recipe.toml", folder / "run")
    return folder


@pytest.fixture(scope="module")
def found(place: Path) -> Sweep:
    methods = 'compress.methods=["rtn-int8", "gptq-int4", "neurons-0.25"]'
    settings = [methods, "compress.measure=false", "compress.accept_divergence=true", "evaluate.resamples=100"]
    return compress("recipes/compress.toml", place / "small", [f"model={place / 'run'}", *settings])


def test_a_run_is_judged_by_what_it_held_out_and_by_how_sure_it_is(found: Sweep, place: Path) -> None:
    assert found.headline == "accuracy"
    assert found.n == len((place / "run/data/test.jsonl").read_text().splitlines())
    assert all(row.calibration_error is not None for row in found.rows)
    rows = {row.name: row for row in found.rows}
    assert rows["rtn-int8"].verdict == "passed"
    assert rows["rtn-int8"].artefact is not None
    assert (rows["rtn-int8"].artefact.parity.min_cosine or 0) > 0.999


def test_what_is_quantised_keeps_its_task_and_its_labels(found: Sweep, place: Path) -> None:
    whole, small = wenlu.load(place / "run"), wenlu.load(place / "small/rtn-int8")
    assert quantised_layers(small.model)
    assert small.task is not None
    assert whole.task is not None
    assert small.task.name == whole.task.name
    answers = verbs.ask(place / "small/rtn-int8", [ENGLISH[0][:24]])
    assert answers


def test_what_lost_a_part_recovers_by_a_training_that_begins_with_it(found: Sweep, place: Path) -> None:
    base = place / "small/neurons-0.25"
    settings = [f'model={{base="{base}"}}', "train.duration=2 steps"]
    verbs.finetune(place / "recipe.toml", place / "recovered", settings)
    config = wenlu.load(place / "recovered").config
    assert config.intermediate_size == 48
