"""Augmentation in a run: of the training part alone, the same every time, and judged by what it does to labels."""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from typing import Any

import pytest

from wenlu.bundle import load
from wenlu.config import load as read_recipe
from wenlu.corpus.augment import AugmentConfig, read_way
from wenlu.corpus.prepare import read_split
from wenlu.errors import ConfigError, UsageError
from wenlu.lifecycle import verbs
from wenlu.lifecycle.augment_changes import Neighbours, changes_of, open_synonyms
from wenlu.lifecycle.augmentation import ROWS, SUMMARY, augment, read_augmented
from wenlu.lifecycle.examples import surveyed
from wenlu.lifecycle.recipe import Recipe
from wenlu.progress import Progress
from wenlu.tasks import TextClassification

RECIPE = """
name = "tiny-augmented"
[task]
name = "text-classification"
[data]
train = "TRAIN"
test = "TEST"
validation = 0.2
steps = []
split_by = "random"
decontaminate = false
[augment]
ways = [{way = "eda", operations = ["synonyms"], synonyms = "SYNONYMS", copies = 2}, {way = "typos", alpha = 0.3}]
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
duration = "1 epochs"
context = 32
batch_size = 16
validations = 1
allocator = "as-is"
dtype = "float32"
threads = 1
[optimizer]
name = "adamw"
[evaluate]
resamples = 100
"""
WORDS = {"good": ("lovely", "great", "fine"), "bad": ("awful", "poor", "dull")}
SYNONYMS = "lovely charming\ngreat marvellous\nfine decent\nawful lovely\n"
"""The last group is a trap: it turns a bad film into a good one, and into the words of a good one."""


def lines(count: int, named: str) -> str:
    rows = [
        {"text": f"a {words[n % 3]} film number {n + 500 * (label == 'bad')} {named}", "label": label}
        for n in range(count)
        for label, words in WORDS.items()
    ]
    return "".join(json.dumps(row) + "\n" for row in rows)


@pytest.fixture(scope="module")
def recipe(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("augment")
    (folder / "train.jsonl").write_text(lines(60, "seen"))
    planted = {"text": "a charming film number 0 seen", "label": "good"}  # what a synonym makes of a training text
    (folder / "test.jsonl").write_text(lines(10, "unseen") + json.dumps(planted) + "\n")
    (folder / "synonyms.txt").write_text(SYNONYMS)
    path = folder / "recipe.toml"
    names = {"TRAIN": "train.jsonl", "TEST": "test.jsonl", "SYNONYMS": "synonyms.txt"}
    content = RECIPE
    for name, file in names.items():
        content = content.replace(f'"{name}"', json.dumps(str(folder / file)))
    path.write_text(content)
    return path


@pytest.fixture(scope="module")
def run(recipe: Path) -> Path:
    out = recipe.parent / "run"
    verbs.finetune(recipe, out)
    return out


def rows_of(run: Path) -> list[dict[str, Any]]:
    return [json.loads(line) for line in (run / ROWS).read_text().splitlines()]


def test_only_training_texts_are_changed_and_none_becomes_one_that_is_held_out(run: Path) -> None:
    training = {record.id: record for record in read_split(run / "data", "train")}
    held_out = {record.text for part in ("validation", "test") for record in read_split(run / "data", part)}
    rows = rows_of(run)
    assert {row["of"] for row in rows} <= training.keys()
    assert all(row["before"] == training[row["of"]].text for row in rows)
    assert all(row["meta"]["label"] == training[row["of"]].meta["label"] for row in rows)
    assert not {row["text"] for row in rows} & held_out
    assert not any("unseen" in row["before"] for row in rows)
    assert "charming" in " ".join(row["text"] for row in rows)


def test_a_copy_of_a_planted_test_text_is_thrown_away(recipe: Path, tmp_path: Path) -> None:
    """With every text in the training part, the first of them becomes the planted one by its synonym."""
    verbs.data(recipe, tmp_path / "run", ["data.validation=0.0"])
    shutil.copytree(recipe.parent / "run" / "tokenizer", tmp_path / "run" / "tokenizer")
    shutil.copy(recipe.parent / "run" / "examples.json", tmp_path / "run")
    (tmp_path / "synonyms.txt").write_text("lovely charming\n")
    way = read_way({"way": "eda", "operations": ["synonyms"], "synonyms": str(tmp_path / "synonyms.txt")})
    config = AugmentConfig(ways=(way,), judged=0)
    (made,) = augment(tmp_path / "run", config, seed=0)
    assert made.held_out == 1
    assert "a charming film number 0 seen" not in {row["text"] for row in rows_of(tmp_path / "run")}


def test_the_label_of_a_bad_text_with_a_good_word_is_not_kept_and_a_warning_says_so(
    run: Path, recipe: Path, tmp_path: Path
) -> None:
    summary = json.loads((run / SUMMARY).read_text())
    eda, typos = summary["ways"]
    assert (eda["way"], typos["way"]) == ("eda", "typos")
    assert eda["kept"]["low"] <= eda["kept"]["share"] <= eda["kept"]["high"] < 0.9
    changed = [row for row in rows_of(run) if row.get("kept") is False and row["way"] == "eda"]
    assert changed
    assert any("awful" in row["before"] and "lovely" in row["text"] for row in changed)
    said: list[str] = []

    class Said(Progress):
        def warn(self, message: str) -> None:
            said.append(message)

    shutil.copytree(run, tmp_path / "run")
    augment(tmp_path / "run", read_recipe(Recipe, recipe).augment or AugmentConfig(ways=()), seed=0, progress=Said())
    assert any(message.startswith("augment: eda keeps") and "lower its alpha" in message for message in said)


def test_the_same_seed_makes_the_same_texts(run: Path, recipe: Path, tmp_path: Path) -> None:
    shutil.copytree(run, tmp_path / "run")
    config = read_recipe(Recipe, recipe).augment
    assert config is not None
    augment(tmp_path / "run", config, seed=0)
    assert (tmp_path / "run" / ROWS).read_bytes() == (run / ROWS).read_bytes()
    augment(tmp_path / "run", config, seed=1)
    assert (tmp_path / "run" / ROWS).read_bytes() != (run / ROWS).read_bytes()


def test_training_reads_the_changed_texts_and_evaluation_the_originals(run: Path) -> None:
    originals = len(list(read_split(run / "data", "train")))
    augmented = list(read_augmented(run, surveyed(run)))
    steps = [json.loads(line)["step"] for line in (run / "events.jsonl").read_text().splitlines()]
    assert max(steps) == -(-(originals + len(augmented)) // 16)
    signature = json.loads((run / "evaluation.json").read_text())["baseline"]["signature"]
    assert f"train:{originals}-examples" in signature
    page = (run / "report.html").read_text()
    assert 'id="augmentation"' in page
    assert "a charming film" in page or "a marvellous film" in page or "a decent film" in page


def test_a_second_call_does_nothing_and_a_recipe_without_it_removes_it(recipe: Path, run: Path, tmp_path: Path) -> None:
    before = (run / ROWS).stat().st_mtime_ns
    verbs.finetune(recipe, run)
    assert (run / ROWS).stat().st_mtime_ns == before
    plain = tmp_path / "plain.toml"
    plain.write_text(
        recipe.read_text().partition("[augment]")[0] + "[tokenizer]" + recipe.read_text().partition("[tokenizer]")[2]
    )
    shutil.copytree(run, tmp_path / "run")
    verbs.pretrain(plain, tmp_path / "run", ["train.duration=1 steps"])
    assert not (tmp_path / "run" / ROWS).exists()


def test_other_tasks_are_refused() -> None:
    for task, why in (
        ("token-classification", "say at which characters of a text they are, and no way keeps these"),
        ("translation", "its texts are not changed"),
        ("causal-lm", "its texts are not changed"),
    ):
        with pytest.raises(ConfigError, match=f"augment: is for text-classification and grading, but task is {task}"):
            read_recipe(
                Recipe, Path("recipes/tiny.toml"), [f"task.name={task}", 'augment.ways=["aeda"]', "data.train=x.jsonl"]
            )
        assert why


def test_a_model_of_another_task_is_no_translator_and_fills_in_nothing(run: Path) -> None:
    with pytest.raises(UsageError, match="was trained for text-classification, and back-translation asks two"):
        changes_of(read_way({"way": "back-translation", "there": str(run), "back": str(run)}), 0)
    with pytest.raises(UsageError, match="was trained for text-classification, not to fill in hidden tokens"):
        changes_of(read_way({"way": "masked-lm", "model": str(run)}), 0)


def test_neighbours_in_word_vectors_are_synonyms(tmp_path: Path) -> None:
    (tmp_path / "words.vec").write_text("3 2\nfilm 1 0\nmovie 0.9 0.1\nfish 0 1\n")
    table = open_synonyms(str(tmp_path / "words.vec"))["en"]
    assert isinstance(table, Neighbours)
    assert table.of("film") == ("movie", "fish")
    assert table.of("unknown") == ()


def test_the_model_learns_the_labels_of_the_originals(run: Path) -> None:
    task = load(run).task
    assert isinstance(task, TextClassification)
    assert task.config.labels == ("bad", "good")
