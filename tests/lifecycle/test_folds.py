"""Cross-validation: whole lives by fold, what is fitted is fitted inside the fold, the test part stays unread."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest

from wenlu.corpus.prepare import read_split
from wenlu.errors import ConfigError, UsageError
from wenlu.evaluation.comparison import compare
from wenlu.evaluation.kept import Kept
from wenlu.lifecycle import verbs
from wenlu.lifecycle.learning_curve import doubled
from wenlu.tokenizers import Tokenizer

RECIPE = """
name = "tiny-folds"
[task]
name = "text-classification"
class_weights = "balanced"
[data]
train = "FILE"
text = "mail"
label = "kind"
steps = []
validation = 0.2
test = 0.2
near_duplicate_threshold = 0.95
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
duration = "20 steps"
context = 32
batch_size = 16
allocator = "as-is"
dtype = "float32"
threads = 1
checkpoints = 1
[optimizer]
name = "adamw"
lr = 5e-3
[evaluate]
resamples = 100
[folds]
count = 3
"""
WORDS = {"spam": ("free", "win", "cash"), "ham": ("lunch", "meet", "notes")}
COUNT = 90
MARKS = "αβγδεζηθικλμνξοπρστυφχψω"


@pytest.fixture(scope="module")
def recipe(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Of a keyword and a letter that stands in one mail only."""
    folder = tmp_path_factory.mktemp("folds")
    rows = [
        {"mail": f"{words[n % 3]} {4 * MARKS[n] if n < 24 else ''} number {n}", "kind": label}
        for n in range(COUNT // 2)
        for label, words in WORDS.items()
    ]
    (folder / "mails.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows), encoding="utf-8")
    path = folder / "recipe.toml"
    path.write_text(RECIPE.replace("FILE", str(folder / "mails.jsonl")), encoding="utf-8")
    return path


@pytest.fixture(scope="module")
def run(recipe: Path) -> Path:
    out = recipe.parent / "run"
    verbs.evaluate(str(recipe), out=out)
    return out


def told(run: Path) -> dict:
    return json.loads((run / "evaluation.json").read_text(encoding="utf-8"))


def test_every_record_outside_the_test_part_is_held_out_once(run: Path) -> None:
    wanted = [record.id for part in ("train", "validation") for record in read_split(run / "data", part)]
    kept = Kept.read(run)
    assert sorted(kept.ids) == sorted(wanted)
    assert list(kept.ids) == sorted(kept.ids)
    unread = {record.id for record in read_split(run / "data", "test")}
    for fold in (run / "folds").iterdir():
        seen = {record.id for part in ("train", "validation", "test") for record in read_split(fold / "data", part)}
        assert not seen & unread


def test_the_score_is_that_of_all_held_out_examples_together(run: Path) -> None:
    evaluation = json.loads((run / "evaluation.json").read_text(encoding="utf-8"))
    right = [float(value) for fold in sorted((run / "folds").iterdir()) for value in Kept.read(fold).columns["correct"]]
    accuracy = next(score for score in evaluation["metrics"] if score["name"] == "accuracy")
    assert accuracy["value"] == pytest.approx(np.mean(right))
    assert accuracy["n"] == len(right)
    assert accuracy["signature"].endswith("|folds:3x1|by:near-duplicates")
    assert evaluation["difference"]["verdict"] in ("better", "worse", "undecided")
    assert [row["n"] for row in told(run)["folds"]] == [
        len(Kept.read(fold).ids) for fold in sorted((run / "folds").iterdir())
    ]


def test_what_is_fitted_is_fitted_inside_the_fold(run: Path) -> None:
    """A letter of a held-out mail is unknown to the fold's tokenizer, as it is in no mail that the fold learns from."""
    checked = 0
    for fold in (run / "folds").iterdir():
        tokenizer = Tokenizer.load(fold / "tokenizer")
        learnt = "".join(record.text for record in read_split(fold / "data", "train"))
        for mark in MARKS:
            assert (tokenizer.unk_id in tokenizer.encode(mark)) == (mark not in learnt)
            checked += mark not in learnt
        weights = json.loads((fold / "examples.json").read_text(encoding="utf-8"))["task"]["class_weights"]
        labels = [record.meta["kind"] for record in read_split(fold / "data", "train")]
        assert weights == pytest.approx(
            [len(labels) / (2 * labels.count(label)) for label in ("ham", "spam")], abs=1e-5
        )
    assert checked > 8


def test_a_second_call_trains_nothing_and_finds_the_same(recipe: Path, run: Path) -> None:
    before = {path: path.stat().st_mtime_ns for path in run.rglob("model.safetensors")}
    assert len(before) == 3
    found = verbs.evaluate(str(recipe), out=run)
    assert {path: path.stat().st_mtime_ns for path in run.rglob("model.safetensors")} == before
    assert json.loads(json.dumps(found.to_json())) == json.loads((run / "evaluation.json").read_text(encoding="utf-8"))


def test_two_settings_are_paired_by_their_folds(recipe: Path, run: Path) -> None:
    other = recipe.parent / "other"
    verbs.evaluate(str(recipe), ["optimizer.lr=1e-6", "folds.take=1"], out=other)
    with pytest.raises(UsageError, match="scored on other examples"):
        compare([run, other])
    verbs.evaluate(str(recipe), ["optimizer.lr=1e-6"], out=other)
    assert compare([run, other]).n == len(Kept.read(run).ids)


def test_the_learning_curve_trains_on_nested_parts(recipe: Path) -> None:
    out = recipe.parent / "curve"
    verbs.evaluate(
        str(recipe), ["folds.fractions=[0.3, 0.6, 1.0]", "folds.take=1", "train.duration='2 steps'"], out=out
    )
    parts = [
        {record.id for record in read_split(out / "folds" / name / "data", "train")}
        for name in ("seed-0-fold-0-of-0.3", "seed-0-fold-0-of-0.6", "seed-0-fold-0")
    ]
    assert parts[0] < parts[1] < parts[2]
    curve = told(out)["curve"]
    assert [point["trained_on"] for point in curve["points"]] == [len(part) for part in parts]
    assert "<svg" in (out / "curve.svg").read_text(encoding="utf-8")


def test_nested_folds_choose_within_the_training_part(recipe: Path) -> None:
    out = recipe.parent / "nested"
    chosen = ["folds.take=1", "folds.inner=2", 'folds.choose={"optimizer.lr" = [1e-9, 5e-3]}']
    verbs.evaluate(str(recipe), chosen, out=out)
    assert told(out)["folds"][0]["chosen"] == {"optimizer.lr": 5e-3}
    held = {record.id for record in read_split(out / "folds" / "seed-0-fold-0" / "data", "test")}
    for inner in (out / "folds" / "seed-0-fold-0-choice").glob("*/*"):
        seen = {record.id for part in ("train", "validation", "test") for record in read_split(inner / "data", part)}
        assert not seen & held


def test_what_cannot_be_chosen_or_taken_is_refused_before_work_starts(recipe: Path, tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=r"lr: input should be a valid number"):
        verbs.evaluate(str(recipe), ['folds.choose={"optimizer.lr" = [1e-3, "fast"]}'], out=tmp_path / "out")
    with pytest.raises(ConfigError, match=r"take: 4 of 3 folds"):
        verbs.evaluate(str(recipe), ["folds.take=4"], out=tmp_path / "out")
    assert not (tmp_path / "out").exists()


def test_twice_the_data_is_read_off_a_power_law() -> None:
    sizes = np.array([100.0, 200.0, 400.0, 800.0])
    assert doubled(sizes, 0.9 - 2 * sizes**-0.5) == pytest.approx(0.9 - 2 * 1600**-0.5, abs=1e-4)
    assert doubled(sizes[:2], sizes[:2]) is None
