"""The life of a model that learns preferences: compared with its base, judged by pairs, talked with as before."""

from __future__ import annotations

import json
import math
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner

import wenlu
from wenlu.cli.app import app
from wenlu.tasks import Preference, Reward

SETTINGS = [
    "check=false",
    "data.steps=[]",
    "data.split_by=random",
    "data.validation=0.2",
    "data.test=0.2",
    "data.workers=1",
    "train.duration=4 steps",
    "train.context=48",
    "train.batch_size=4",
    "train.validations=1",
    "train.checkpoints=1",
    "train.dtype=float64",
    "train.threads=1",
    "train.allocator=as-is",
    "evaluate.resamples=100",
]
BASE = """
name = "base"

[task]
name = "dialogue"

[data]
train = "{train}"

[tokenizer]
vocab_size = 270

[model]
family = "llama"
hidden_size = 32
intermediate_size = 64
num_attention_heads = 2
num_hidden_layers = 1
"""


def pairs(count: int) -> list[dict[str, Any]]:
    return [
        {"prompt": f"where is cat {number}?", "chosen": "on the mat", "rejected": f"no idea {number}"}
        for number in range(count)
    ]


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A base that converses, and pairs."""
    folder = tmp_path_factory.mktemp("prefer")
    (folder / "pairs.jsonl").write_text("".join(json.dumps(row) + "\n" for row in pairs(30)))
    said = [[row["prompt"], row["chosen"]] for row in pairs(30)]
    (folder / "chats.jsonl").write_text("".join(json.dumps({"messages": each}) + "\n" for each in said))
    (folder / "base.toml").write_text(BASE.format(train=folder / "chats.jsonl"))
    wenlu.finetune(folder / "base.toml", folder / "base", SETTINGS)
    return folder


def preferred(folder: Path, name: str, *settings: str) -> Path:
    given = [*SETTINGS, "optimizer.lr=1e-3", f"model.base={folder / 'base'}", f"data.train={folder / 'pairs.jsonl'}"]
    wenlu.finetune(Path("recipes/prefer.toml"), folder / name, [*given, *settings])
    return folder / name


@pytest.fixture(scope="module")
def run(folder: Path) -> Path:
    return preferred(folder, "run")


def events(run: Path) -> dict[str, list[float]]:
    found: dict[str, list[float]] = {}
    for line in (run / "events.jsonl").read_text().splitlines():
        event = json.loads(line)
        found.setdefault(event["name"], []).append(event["value"])
    return found


def test_the_first_step_knows_no_preference_and_the_rewards_are_logged(run: Path) -> None:
    found = events(run)
    assert found["loss"][0] == pytest.approx(0.6931471805599453, abs=1e-9)
    assert found["loss"][-1] < found["loss"][0]
    assert found["reward_margin"][0] == pytest.approx(0, abs=1e-9)
    assert found["reward_margin"][-1] > 0
    assert {"preference.accuracy", "reward_chosen", "reward_rejected", "validation"} <= {*found}


def test_it_is_judged_by_pairs_beside_its_base_and_the_length_of_answers(run: Path) -> None:
    found = json.loads((run / "evaluation.json").read_text())
    by_name = {row["name"]: row for row in found["metrics"]}
    assert found["headline"]["name"] == "accuracy"
    assert by_name["accuracy"]["low"] <= by_name["accuracy"]["value"] <= by_name["accuracy"]["high"]
    assert "system:length" in by_name["baseline_accuracy"]["signature"]
    margin = by_name["reward_margin"]["value"]
    assert margin == pytest.approx(events(run)["reward_margin"][-1], abs=0.5)  # without its base it would be about 5


def test_pairs_without_room_are_left_out_of_the_evaluation_and_counted(run: Path, tmp_path: Path) -> None:
    rows = [*pairs(3), {"prompt": "where is the cat? " * 9, "chosen": "on the mat", "rejected": "nowhere"}]
    file = tmp_path / "pairs.jsonl"
    file.write_text("".join(json.dumps(row) + "\n" for row in rows))
    told = CliRunner().invoke(
        app, ["evaluate", str(run), f"data.test={file}", "evaluate.resamples=100", "evaluate.context=48", "--json"]
    )
    assert told.exit_code == 0, told.output
    assert {row["n"] for row in json.loads(told.stdout)["metrics"]} == {3}
    assert "1 of 4 pairs are left out" in " ".join(told.stderr.split())


def test_it_answers_in_turns_and_ends_them(run: Path) -> None:
    bundle = wenlu.load(run)
    assert isinstance(bundle.task, Preference)
    assert bundle.task.end_id in bundle.end_ids
    told = CliRunner().invoke(app, ["chat", str(run), "max_new_tokens=4", "--json"], input="where is cat 3?\n")
    assert told.exit_code == 0, told.output
    assert "prediction" in json.loads(told.stdout.splitlines()[0])


def test_rewards_have_a_head_of_their_own(folder: Path) -> None:
    run = preferred(folder, "reward", "task={name = 'reward'}")
    assert isinstance(wenlu.load(run).task, Reward)
    asked = folder / "asked.jsonl"
    asked.write_text(json.dumps(pairs(1)[0]) + "\n")
    told = CliRunner().invoke(app, ["predict", str(run), str(asked), "--json"])
    assert told.exit_code == 0, told.output
    answer = json.loads(told.stdout.splitlines()[0])
    assert answer["prediction"] == ("chosen" if answer["reward_chosen"] > answer["reward_rejected"] else "rejected")


def test_a_check_takes_the_loss_of_a_guess_for_healthy(folder: Path) -> None:
    given = [*SETTINGS[1:], f"model.base={folder / 'base'}", f"data.train={folder / 'pairs.jsonl'}"]
    report = wenlu.check(Path("recipes/prefer.toml"), overrides=given)
    (start,) = [finding for finding in report.findings if finding.name == "loss-at-start"]
    assert start.verdict == "pass"
    assert start.numbers["loss"] == pytest.approx(math.log(2), abs=1e-6)
