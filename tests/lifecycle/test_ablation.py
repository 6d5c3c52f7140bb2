"""What each source buys, and the score on each: one is the whole lesson, one is noise."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from typer.testing import CliRunner

from wenlu.cli.app import app
from wenlu.errors import UsageError
from wenlu.lifecycle.ablation import FILE, ablate_sources

RECIPE = """
name = "tiny-sources"
[task]
name = "text-classification"
[data]
train = [{path = "lesson.jsonl"}, {path = "noise.jsonl"}]
steps = []
split_by = "random"
validation = 0.1
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
hidden_dropout_prob = 0.0
attention_probs_dropout_prob = 0.0
[train]
duration = "40 steps"
context = 24
batch_size = 16
validations = 1
allocator = "as-is"
dtype = "float32"
threads = 1
[optimizer]
name = "adamw"
lr = 3e-3
[evaluate]
resamples = 200
baseline = false
"""


@pytest.fixture(scope="module")
def ablation(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("sources")
    lesson = [{"text": f"{'xx' if n % 2 else 'yy'} {n}", "label": "odd" if n % 2 else "even"} for n in range(200)]
    noise = [{"text": f"zz {n}", "label": "odd"} for n in range(40)]
    for name, rows in (("lesson", lesson), ("noise", noise)):
        (folder / f"{name}.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    text = RECIPE.replace('path = "', f'path = "{folder}/')
    (folder / "recipe.toml").write_text(text)
    ablate_sources(folder / "recipe.toml", folder / "out")
    return folder


def test_a_source_with_the_lesson_helps_and_one_with_noise_is_not_distinguished(ablation: Path) -> None:
    lesson, noise = json.loads((ablation / "out" / FILE).read_text())
    assert (lesson["source"], lesson["verdict"]) == ("lesson.jsonl", "helps")
    assert lesson["whole"] > 0.9 > 0.7 > lesson["without"]
    assert lesson["low"] > 0
    assert lesson["p_value"] < 0.05
    assert lesson["difference"] == pytest.approx(lesson["whole"] - lesson["without"])
    assert (noise["source"], noise["records"]) == ("noise.jsonl", lines_of(ablation, "noise.jsonl"))
    assert noise["verdict"] in ("not distinguishable", "helps")  # it alone has texts with zz


def lines_of(ablation: Path, source: str) -> int:
    rows = (ablation / "out/whole/data/train.jsonl").read_text().splitlines()
    return sum(json.loads(row)["source"] == source for row in rows)


def test_the_score_on_each_source_stands_beside_the_whole(ablation: Path) -> None:
    evaluation = json.loads((ablation / "out/whole/evaluation.json").read_text())
    sources = {row["source"]: row for row in evaluation["sources"]}
    assert set(sources) == {"lesson.jsonl", "noise.jsonl"}
    assert sum(row["n"] for row in sources.values()) == evaluation["documents"]
    mean = sum(row["n"] * row["value"] for row in sources.values()) / evaluation["documents"]
    assert mean == pytest.approx(evaluation["headline"]["value"])
    assert all(row["low"] <= row["value"] <= row["high"] for row in sources.values())
    assert 'id="sources"' in (ablation / "out/whole/report.html").read_text()


def test_the_verb_says_it_in_words_and_does_nothing_twice(ablation: Path) -> None:
    command = ["runs", "ablate", str(ablation / "recipe.toml"), "--out", str(ablation / "out")]
    said = CliRunner().invoke(app, command)
    assert said.exit_code == 0, said.output
    assert "lesson.jsonl: " in said.stdout
    assert ", helps (p = " in said.stdout


def test_a_single_source_cannot_be_left_out(ablation: Path) -> None:
    with pytest.raises(UsageError, match=r"has the single source 'lesson\.jsonl'; name two or more in data\.train"):
        ablate_sources(ablation / "recipe.toml", ablation / "no", [f"data.train={ablation}/lesson.jsonl"])
