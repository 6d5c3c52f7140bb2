"""`wenlu evaluate` as a user calls it: on a tiny run, on a model folder with texts, on what it cannot score."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import pytest
import typer
from typer.testing import CliRunner, Result

import wenlu
from wenlu.cli.evaluate import evaluate
from wenlu.errors import ConfigError, DataError, UsageError, WeightsError

FAST = ["train.duration=2 steps", "train.allocator=as-is", "check=false", "train.threads=1", "train.dtype=float32"]
SMALL = [*FAST, "data.train={path = 'stdlib', limit = 24}", "tokenizer.vocab_size=300", "data.validation=0.2"]
RECIPE = Path("recipes/tiny.toml")


@pytest.fixture(scope="module")
def trained(tmp_path_factory: pytest.TempPathFactory) -> Path:
    out = tmp_path_factory.mktemp("evaluate") / "run"
    wenlu.pretrain(RECIPE, out, SMALL)
    return out


def run(*arguments: str | Path) -> Result:
    app = typer.Typer()
    app.command()(evaluate)
    return CliRunner().invoke(app, [str(argument) for argument in arguments], env={"COLUMNS": "120"})


def test_a_run_prints_one_object_of_json(trained: Path) -> None:
    result = run(trained, "evaluate.stride=64", "--json")
    assert result.exit_code == 0, result.output
    found = json.loads(result.stdout)
    assert found["ngram_bits_per_byte"] < found["bits_per_byte"]
    assert found["settings"]["stride"] == 64
    assert found["settings"]["resamples"] == 200  # of the run's own recipe
    assert not (trained / "evaluation.json").exists()


def test_a_run_prints_a_table_for_people(trained: Path) -> None:
    result = run(trained)
    assert result.exit_code == 0, result.output
    for words in (
        "95 % interval",
        "bits_per_byte",
        "word_perplexity",
        "ngram_bits_per_byte",
        "model − n-gram",
        "worse",
    ):
        assert words in result.stdout


def test_results_can_be_kept(trained: Path, tmp_path: Path) -> None:
    shown = json.loads(run(trained, "--out", tmp_path / "kept", "--json").stdout)
    assert json.loads((tmp_path / "kept" / "evaluation.json").read_text()) == shown
    assert len((tmp_path / "kept" / "evaluation.jsonl").read_text().splitlines()) == shown["documents"]


def test_a_model_folder_is_scored_on_given_texts(trained: Path, tmp_path: Path) -> None:
    shutil.copytree(trained / "model", tmp_path / "model")
    texts = tmp_path / "texts.jsonl"
    texts.write_text("".join(json.dumps({"text": text}) + "\n" for text in ("one text", "another", "天地玄黄")))
    found = json.loads(run(tmp_path / "model", f"data.test={texts}", "--json").stdout)
    assert (found["documents"], found["words"], found["ngram_bits_per_byte"]) == (3, 7, None)
    beside = json.loads(run(trained, f"data.test={texts}", "--json").stdout)
    assert beside["bits_per_byte"] == found["bits_per_byte"]
    assert beside["ngram_bits_per_byte"] > 0


def test_a_single_text_is_scored_with_a_note(trained: Path, tmp_path: Path) -> None:
    (tmp_path / "one.txt").write_text("only one text\n")
    result = run(trained, f"data.test={tmp_path / 'one.txt'}")
    assert "no interval" in result.stdout
    assert "one text shows no spread" in result.stderr


def test_a_recipe_runs_up_to_its_model_and_is_scored(tmp_path: Path) -> None:
    result = run(RECIPE, *SMALL, "--out", tmp_path / "run", "--json")
    assert result.exit_code == 0, result.output
    assert json.loads(result.stdout)["difference"]["verdict"] == "worse"
    assert (tmp_path / "run" / "evaluation.json").exists()


def test_a_recipe_needs_a_place_for_its_run() -> None:
    error = run(RECIPE).exception
    assert isinstance(error, UsageError)
    assert str(error) == "recipes/tiny.toml: a recipe is run before its model is scored; say where with --out DIR"


def test_a_model_folder_needs_texts(trained: Path) -> None:
    error = run(trained / "model").exception
    assert isinstance(error, UsageError)
    assert "has no held-out texts of its own (no data/); give some with data.test=FILE" in str(error)


def test_a_wrong_setting_is_named(trained: Path) -> None:
    error = run(trained, "evaluate.strid=3").exception
    assert isinstance(error, ConfigError)
    assert "evaluate.strid: unknown key; did you mean stride?" in str(error)


def test_what_is_not_there_is_named(trained: Path, tmp_path: Path) -> None:
    assert isinstance(run(tmp_path / "nothing").exception, WeightsError)
    error = run(trained, f"data.test={tmp_path / 'missing.txt'}").exception
    assert isinstance(error, DataError)
    assert "missing.txt: no such file" in str(error)
