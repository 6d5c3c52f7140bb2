"""Lives of models that grade and that embed: from the user's file to an answer on the command line."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from tests.tasks.tiny import CHINESE, ENGLISH
from typer.testing import CliRunner

import wenlu
from wenlu.cli.app import app as main
from wenlu.config import load
from wenlu.lifecycle import verbs
from wenlu.lifecycle.recipe import Recipe
from wenlu.tasks import Embedding

TINY = """
name = "tiny"
check = false

[task]
name = "{task}"

[data]
train = {{path = "{path}", {source}}}
{columns}
steps = ["repair"]
validation = 0.2
test = 0.2
split_by = "random"

[tokenizer]
vocab_size = 280

[model]
family = "bert"
hidden_size = 32
intermediate_size = 64
num_hidden_layers = 1
num_attention_heads = 2

[train]
duration = "6 steps"
context = 48
batch_size = 8
zero_outputs = false
validations = 2
checkpoints = 1
allocator = "as-is"
threads = 1
dtype = "float32"

[optimizer]
lr = 1e-3

[evaluate]
resamples = 100
"""


def finetuned(folder: Path, recipe: str, settings: list[str]) -> Path:
    (folder / "recipe.toml").write_text(recipe)
    verbs.finetune(folder / "recipe.toml", folder / "run", settings)
    return folder / "run"


@pytest.mark.parametrize(
    ("settings", "headline", "unit"),
    [
        (["task.scale=[0,7]"], "quadratic_kappa", "squared error/text"),
        (["task.head=ordinal", "data.prompt=essay_set"], "quadratic_kappa", "nats/text"),
        (["task.step=0"], "pearson", "squared error/text"),
    ],
    ids=["regression", "ordinal", "continuous"],
)
def test_essays_in_the_format_of_asap_are_graded(settings: list[str], headline: str, unit: str, tmp_path: Path) -> None:
    lines = [f'{n}\t{n % 2 + 1}\t"“{text.strip()}”"\t{n % 8}' for n, text in enumerate(ENGLISH)]
    table = tmp_path / "essays.tsv"
    table.write_bytes("\n".join(["essay_id\tessay_set\tessay\tdomain1_score", *lines]).encode("cp1252"))
    columns = 'text = "essay"\nscore = "domain1_score"'
    recipe = TINY.format(task="grading", path=table, source='kind = "table", encoding = "cp1252"', columns=columns)
    out = finetuned(tmp_path, recipe, settings)
    found = json.loads((out / "evaluation.json").read_text())
    assert found["headline"]["name"] == headline
    assert found["baseline"]["name"] == f"baseline_{headline}"
    logged = {
        event["name"]: event["unit"] for event in map(json.loads, (out / "events.jsonl").read_text().splitlines())
    }
    assert logged["loss"] == logged["validation"] == unit
    rows = [json.loads(line) for line in (out / "evaluation.jsonl").read_text().splitlines()]
    assert all(0 <= row["prediction"] <= 7 for row in rows)
    assert ("prompt" in rows[0]) == ("data.prompt=essay_set" in settings)
    line = json.loads(CliRunner().invoke(main, ["predict", str(out), "--text", "the cat sat", "--json"]).stdout)
    assert 0 <= line["prediction"] <= 7
    assert ("probability" in line) == ("task.head=ordinal" in settings)


def test_pairs_of_texts_are_embedded(tmp_path: Path) -> None:
    rows = [{"q": f"{text[:14]} {n}", "a": text} for n, text in enumerate([*ENGLISH[:30], *CHINESE])]
    (tmp_path / "pairs.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    columns = 'anchor = "q"\npositive = "a"'
    recipe = TINY.format(task="embedding", path=tmp_path / "pairs.jsonl", source='kind = "jsonl"', columns=columns)
    out = finetuned(tmp_path, recipe, ["task.dimensions=[8]", "task.symmetric=true"])
    found = json.loads((out / "evaluation.json").read_text())
    scores = {score["name"]: score["value"] for score in found["metrics"]}
    assert found["headline"]["name"] == "recall_at_1"
    assert {"mrr", "ndcg_at_10", "baseline_recall_at_1"} <= scores.keys()
    assert 0 <= scores["recall_at_1"] <= scores["mrr"] <= 1
    ranks = [json.loads(line)["rank"] for line in (out / "evaluation.jsonl").read_text().splitlines()]
    assert sum(rank == 1 for rank in ranks) / len(ranks) == pytest.approx(scores["recall_at_1"])
    bundle = wenlu.load(out)
    assert isinstance(bundle.task, Embedding)
    vector = bundle.task.embed(bundle.model, ["the cat sat"], context=48)[0]
    line = json.loads(CliRunner().invoke(main, ["predict", str(out), "--text", "the cat sat", "--json"]).stdout)
    assert line["prediction"] == pytest.approx(vector.tolist(), abs=2e-6)


@pytest.mark.parametrize("name", ["grade", "embed"])
def test_the_recipe_is_read(name: str) -> None:
    recipe = load(Recipe, Path(f"recipes/{name}.toml"))
    assert recipe.name == name
    assert recipe.model.base is not None
