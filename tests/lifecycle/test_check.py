"""`wenlu check` on whole recipes: healthy ones pass, spoilt ones are named, and stop before training begins."""

from __future__ import annotations

import json
import os
import random
import re
from pathlib import Path
from typing import Any

import pytest
from tests.golden.test_recipes import OWN, RECIPES, SIZES_OF_LABELLED, TRAIN_OF_LABELLED, losses, overrides, table
from tests.tasks.labelled import LABELLED
from typer.testing import CliRunner

import wenlu
from wenlu.cli.app import app
from wenlu.config import load
from wenlu.errors import CheckFailed, ConfigError, UsageError
from wenlu.lifecycle.cache import StageCache
from wenlu.lifecycle.recipe import Recipe
from wenlu.models import family
from wenlu.progress import Progress

PROOF = os.environ.get("WENLU_PROOF") == "1"
FEW = ("tiny", "classify", "pretrain-masked-zh")
HEALTHY = RECIPES if PROOF else FEW
ROWS = 60


def varied(row: dict[str, Any], task: str, drawn: random.Random) -> dict[str, Any]:
    """A small example with other words around what is asked, so that no two are alike."""

    def words(count: int = 6) -> str:
        return " ".join("".join(drawn.choices("abcdefghij", k=4)) for _ in range(count))

    match task:
        case "token-classification":
            more = words().split()
            tokens = [*row["tokens"], *more]
            return {"text": " ".join(tokens), "tokens": tokens, "tags": [*row["tags"], *["O"] * len(more)]}
        case "question-answering":
            return {**row, "question": f"{words()} {row['question']}", "context": f"{row['context']} {words()}"}
        case "dialogue":
            turns = [{**turn, "content": f"{turn['content']} {words(3)}"} for turn in row["messages"]]
            return {"text": " ".join(turn["content"] for turn in turns), "messages": turns}
        case "code":
            return {**row, "prompt": f"# {words()}\n{row['prompt']}"}
        case "embedding":
            return {**row, "anchor": f"{row['anchor']} {words()}", "positive": f"{row['positive']} {words()}"}
        case "translation":
            more = words(4)
            return {"source": f"{row['source']} {more}", "target": f"{row['target']} {more}"}
    return {**row, "text": f"{row['text']} {words()}"}


def labelled(recipe: Recipe, folder: Path, context: int = 160) -> list[str]:
    """The recipe's task, or each of several, on sixty examples of its kind, in a tiny model from random weights."""
    tasks = {f"members.{name}.": member.task.name for name, member in recipe.members.items()}
    tasks = tasks or {"": recipe.task.name}
    chosen = LABELLED[next(iter(tasks.values()))].family
    sizes = {key: value for key, value in SIZES_OF_LABELLED.items() if key in family(chosen).config.model_fields}
    own, drawn = [], random.Random(7)
    for prefix, task in tasks.items():
        source, small = folder / f"{prefix}examples.jsonl", LABELLED[task].rows
        rows = [varied(small[number % len(small)], task, drawn) for number in range(ROWS)]
        source.write_text("".join(json.dumps(row) + "\n" for row in rows))
        own.append(f"{prefix}data={table(train=str(source), steps=[], validation=0.1, test=0.1)}")
        own += [f"{prefix}task.{key}={json.dumps(value)}" for key, value in LABELLED[task].settings.items()]
    train = {**TRAIN_OF_LABELLED, "context": context}
    vocabulary = "auto" if recipe.tokenizer.kind in ("char", "word") else 400
    return [
        f"model={table(family=chosen, **sizes)}",
        f"train={table(**train)}",
        *own,
        f"tokenizer.vocab_size={vocabulary}",
        *OWN.get(recipe.name, ()),
    ]


def settings_of(name: str, folder: Path) -> list[str]:
    recipe = load(Recipe, Path(f"recipes/{name}.toml"))
    return labelled(recipe, folder) if recipe.has_examples else overrides(name, folder)


@pytest.mark.parametrize("name", HEALTHY)
def test_a_healthy_recipe_fails_nowhere(name: str, tmp_path: Path) -> None:
    report = wenlu.check(f"recipes/{name}.toml", tmp_path / "run", settings_of(name, tmp_path))
    assert not report.failures, "\n".join(f"{each.name}: {each.found}" for each in report.failures)
    assert json.loads((tmp_path / "run" / "check.json").read_text())["passed"] is True


class Told(Progress):
    def __init__(self) -> None:
        self.warnings: list[str] = []

    def warn(self, message: str) -> None:
        self.warnings.append(message)


def test_training_with_a_check_before_it_takes_the_same_course(tmp_path: Path) -> None:
    settings = overrides("tiny", tmp_path)
    for name, checked in (("with", "true"), ("without", "false")):
        wenlu.pretrain("recipes/tiny.toml", tmp_path / name, [*settings, f"check={checked}"])
    assert losses(tmp_path / "with") == losses(tmp_path / "without")
    assert {"check.json", "check.html"} <= {path.name for path in (tmp_path / "with").iterdir()}
    assert "check" not in StageCache(tmp_path / "without").seconds()
    before = (tmp_path / "with" / "check.json").stat().st_mtime_ns
    wenlu.pretrain("recipes/tiny.toml", tmp_path / "with", [*settings, "check=true"])
    assert (tmp_path / "with" / "check.json").stat().st_mtime_ns == before  # what is done is not done again


def test_a_failure_stops_before_training_unless_told(tmp_path: Path) -> None:
    settings = [*overrides("tiny", tmp_path), "optimizer.lr=1e-12", "check=true"]
    for _ in range(2):  # it is not taken for done
        with pytest.raises(CheckFailed, match=r"(?s)learning-rate: .*\n    Raise optimizer\.lr.*check\.fail=false"):
            wenlu.pretrain("recipes/tiny.toml", tmp_path / "run", settings)
    assert not (tmp_path / "run" / "model").exists()
    assert CheckFailed.exit_code == 1
    told = Told()
    wenlu.pretrain("recipes/tiny.toml", tmp_path / "run", [*settings, "check={fail=false}"], progress=told)
    assert (tmp_path / "run" / "model").exists()
    assert any(warning.startswith("learning-rate: ") for warning in told.warnings)


def test_rows_of_the_test_that_leak_into_training_are_found_in_a_file(tmp_path: Path) -> None:
    recipe = load(Recipe, Path("recipes/classify.toml"))
    settings = labelled(recipe, tmp_path)
    lines = (tmp_path / "examples.jsonl").read_text().splitlines(keepends=True)
    (tmp_path / "test.jsonl").write_text("".join(lines[:6]))
    leaking = [f"data.test={tmp_path / 'test.jsonl'}", "data.decontaminate=false"]
    result = CliRunner().invoke(
        app, ["check", "recipes/classify.toml", *settings, *leaking, "train.allocator=as-is", "--json"]
    )
    assert result.exit_code == 1
    (failed,) = [finding for finding in json.loads(result.stdout)["findings"] if finding["verdict"] == "failure"]
    assert failed["name"] == "leakage"
    assert failed["numbers"] == {"share": 1.0, "exact": 6}
    assert failed["found"] == "6 of 6 records of test stand in training too (100.0%), 6 exactly"
    result = CliRunner().invoke(
        app,
        ["check", "recipes/classify.toml", *settings, *leaking, "train.allocator=as-is", 'check.accepts=["leakage"]'],
    )
    assert result.exit_code == 0
    assert "which check.accepts allows" in " ".join(result.stdout.split())


def test_only_checks_of_the_data_can_be_accepted() -> None:
    with pytest.raises(ConfigError, match=r"check\.accepts.*'gradients' is no check of the data"):
        load(Recipe, Path("recipes/tiny.toml"), ['check.accepts=["gradients"]'])


def test_the_terminal_and_the_page_show_what_is_trained_on(tmp_path: Path) -> None:
    settings = labelled(load(Recipe, Path("recipes/chat.toml")), tmp_path)
    out = tmp_path / "run"
    result = CliRunner().invoke(app, ["check", "recipes/chat.toml", *settings, "--out", str(out)])
    assert (result.exit_code, "overfit-8" in result.stdout) == (0, True)
    page = (out / "check.html").read_text(encoding="utf-8")
    assert re.search(r'class="context">[^<]*&lt;\|user\|&gt;', page)
    assert re.search(r'class="trained">[^<]*&lt;\|end\|&gt;', page)
    assert "http" not in page


def test_word_vectors_have_no_such_check(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="makes word vectors"):
        wenlu.check("recipes/word2vec.toml", tmp_path / "run")
