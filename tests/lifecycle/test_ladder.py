"""The ladder of a recipe: rungs from nothing to the recipe's own model on one split, and what that comes to."""

from __future__ import annotations

import csv
import io
import json
import math
import random
from dataclasses import replace
from pathlib import Path
from typing import Any
from xml.etree import ElementTree

import pytest
from rich.console import Console
from tests.lifecycle.test_labelled_life import RECIPE, WORDS
from typer.testing import CliRunner

from wenlu.cli.app import app
from wenlu.cli.ladder import render
from wenlu.config import check
from wenlu.errors import ConfigError, DataError, UsageError
from wenlu.evaluation import EvaluateConfig
from wenlu.evaluation.comparison import compare
from wenlu.evaluation.linear.settings import FeaturesConfig
from wenlu.evaluation.linear.stored import FOLDER, load_linear, no_tokenizer
from wenlu.lifecycle import verbs
from wenlu.lifecycle.examples import surveyed
from wenlu.lifecycle.ladder import linear
from wenlu.lifecycle.ladder.linear import LinearBench
from wenlu.lifecycle.ladder.outcome import Outcome
from wenlu.lifecycle.ladder.parts import Parts
from wenlu.lifecycle.ladder.settings import CompareConfig
from wenlu.lifecycle.ladder.standing import Ladder, Standing, pareto, verdict_of
from wenlu.progress import QUIET
from wenlu.tasks import new_task
from wenlu.tasks.text_classification import LabelledText

COLUMNS = ["data.text=mail", "data.label=kind", 'features.numbers=["stars"]']
SETTINGS = [*COLUMNS, "features.characters=[2,3]", "train.duration=2 steps", "train.validations=1"]


@pytest.fixture(scope="module")
def recipe(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A word decides; the recipe's own model has two steps to find out."""
    folder = tmp_path_factory.mktemp("ladder")
    with (folder / "mails.csv").open("w", newline="") as file:
        writer = csv.DictWriter(file, ["mail", "kind", "stars"])
        writer.writeheader()
        for n in range(100):
            for label, words in WORDS.items():
                mail = f"{words[n % 3]} number {n} {words[n // 3 % 3]}"
                writer.writerow({"mail": mail, "kind": label, "stars": n % 5})
    path = folder / "classify.toml"
    path.write_text(RECIPE.replace("FILE", str(folder / "mails.csv")))
    return path


@pytest.fixture(scope="module")
def ladder(recipe: Path) -> Ladder:
    return verbs.ladder(recipe, recipe.parent / "out", SETTINGS)


def test_a_linear_model_wins_where_a_word_decides(ladder: Ladder) -> None:
    values = {each.name: each.value for each in ladder.standings}
    cheap = ["prior", "linear-svm", "logistic-regression", "nb-svm", "bag-of-ngrams"]
    assert list(values) == [*cheap, "gru", "recipe"]
    assert values["linear-svm"] == values["nb-svm"] == 1.0
    assert values["recipe"] < 1.0
    assert ladder.best.name in ("linear-svm", "logistic-regression", "nb-svm")
    assert "is enough" in ladder.verdict or "is not distinguishable from" in ladder.verdict
    assert "The recipe's own model does worse here" in ladder.verdict
    recipe = next(each for each in ladder.standings if each.name == "recipe")
    assert not recipe.on_front
    assert recipe.against_best is not None
    assert recipe.against_best.verdict == "worse"


def test_what_was_found_is_plain_data(ladder: Ladder) -> None:
    told = json.loads((ladder.path / "ladder.json").read_text())
    assert told == json.loads(json.dumps(ladder.to_json()))
    first = told["metrics"][0]
    assert first.keys() == {"name", "value", "low", "high", "n", "unit", "better", "signature"}
    assert first["name"] == "prior.accuracy"
    assert {"a", "b", "p_value", "verdict"} <= told["pairs"][0].keys()
    svm = next(rung for rung in told["rungs"] if rung["name"] == "linear-svm")
    assert svm["seconds"] > 0
    assert svm["milliseconds_per_text"] > 0
    assert svm["megabytes"] > 0
    assert svm["chosen"]["features"].keys() == {"words", "characters", "numbers"}
    assert {word for word, _ in svm["strongest"]["spam"]} & set(WORDS["spam"])
    assert [row["left_out"] for row in told["ablation"]] == ["words", "characters", "numbers"]
    svg = ElementTree.fromstring((ladder.path / "pareto.svg").read_text())
    assert len(list(svg.iter("{http://www.w3.org/2000/svg}circle"))) == len(told["rungs"])


def test_a_second_climb_fits_nothing_again(recipe: Path, ladder: Ladder) -> None:
    kept = ladder.path / "rungs" / "linear-svm" / FOLDER / "linear.skops"
    before = kept.stat().st_mtime_ns, (ladder.path / "rungs/recipe/model/model.safetensors").stat().st_mtime_ns
    again = verbs.ladder(recipe, ladder.path, SETTINGS)
    after = kept.stat().st_mtime_ns, (ladder.path / "rungs/recipe/model/model.safetensors").stat().st_mtime_ns
    assert before == after
    assert again.to_json() == ladder.to_json()


def test_rungs_are_runs_to_compare_and_to_load(ladder: Ladder) -> None:
    found = compare([ladder.path / "rungs" / name for name in ("linear-svm", "recipe")])
    assert found.pairs[0].verdict == "better"
    words = load_linear(ladder.path / "rungs" / "nb-svm" / FOLDER)
    (answer,) = words.answer([LabelledText("free cash")])
    assert words.task.told(answer)["prediction"] == "spam"
    model = load_linear(ladder.path / "rungs" / "linear-svm" / FOLDER)
    with pytest.raises(DataError, match="columns stars are features of this model"):
        model.answer([LabelledText("free cash")])


def test_a_stored_linear_model_answers_and_says_why(ladder: Ladder, tmp_path: Path) -> None:
    run = str(ladder.path / "rungs" / "linear-svm")
    file, out = tmp_path / "new.csv", tmp_path / "answers.jsonl"
    file.write_text("mail,stars\nfree cash,1\nlunch notes,many\n")
    done = CliRunner().invoke(app, ["predict", run, "--text", "free cash", "--explain", "--json"])
    told = json.loads(done.stdout)
    assert told["prediction"] == "spam"
    for each in told["explanation"]:
        adds = math.fsum(part["adds"] for part in each["features"]) + each["others"]
        assert each["bias"] + adds == pytest.approx(each["score"], abs=1e-9)
    done = CliRunner().invoke(app, ["predict", run, str(file), "--out", str(out)])
    assert isinstance(done.exception, DataError)
    assert "features.numbers: 'stars' holds 'many', no number" in str(done.exception)
    file.write_text("mail,stars\nfree cash,1\nlunch notes,2\n")
    CliRunner().invoke(app, ["predict", run, str(file), "--out", str(out), "--overwrite"], catch_exceptions=False)
    lines = [json.loads(line) for line in out.read_text().splitlines()]
    assert [line["prediction"] for line in lines] == ["spam", "ham"]
    done = CliRunner().invoke(app, ["predict", str(ladder.path / "rungs/recipe"), "--text", "x", "--explain"])
    assert "is no linear model" in str(done.exception)


def test_the_table_says_it_in_words(ladder: Ladder) -> None:
    text = rendered(ladder)
    assert ladder.verdict.split(":")[0] in " ".join(text.split())
    assert "linear-svm without a group of features" in text
    assert max(map(len, rendered(ladder, width=80).splitlines())) <= 80
    assert "logistic-regression" in rendered(ladder, width=80)


def test_five_texts_are_shown_with_what_the_model_that_is_worth_it_says(ladder: Ladder) -> None:
    assert len({each.text for each in ladder.shown}) == 5
    for each in ladder.shown:
        assert each.label == next(label for label, words in WORDS.items() if each.text.split()[0] in words)
        assert each.prediction == each.label  # a word decides, and a linear model is worth it
        assert each.probability is not None
        (line,) = {line for line in rendered(ladder, width=80).splitlines() if each.text in line}
        assert line.split()[-3:] == [each.label, each.prediction, f"{each.probability:.0%}"]
    assert f"wenlu predict {ladder.path / 'rungs' / ladder.worth.name} YOUR.csv" in rendered(ladder).replace("\n", "")


def test_each_climb_is_logged_as_a_reading_of_the_test_part(ladder: Ladder) -> None:
    first = json.loads((ladder.path / "test-readings.jsonl").read_text().splitlines()[0])
    assert first["model"].startswith("ladder: prior, linear-svm, ")
    assert (first["metric"], first["value"]) == ("accuracy", ladder.worth.value)


def test_what_does_not_fit_in_the_budget_is_left_out_and_says_so(recipe: Path, tmp_path: Path) -> None:
    given = [*SETTINGS, "compare.budget=2 seconds", "compare.rungs=prior,gru,recipe"]
    found = verbs.ladder(recipe, tmp_path / "out", given)
    assert [each.name for each in found.standings] == ["prior"]
    assert [each.name for each in found.left_out] == ["gru", "recipe"]
    assert all("s are left of compare.budget, too little to train it" in each.reason for each in found.left_out)
    assert "The recipe's own model did not take part." in found.verdict


def test_features_that_would_take_too_long_are_not_begun(monkeypatch: pytest.MonkeyPatch, ladder: Ladder) -> None:
    monkeypatch.setattr(linear, "PROBED", 10)
    parts = Parts.read(ladder.path, new_task(surveyed(ladder.path), no_tokenizer()), "test")  # type: ignore[arg-type]
    bench = LinearBench(parts, FeaturesConfig(), EvaluateConfig(), QUIET)
    with pytest.raises(UsageError, match=r"would take about \d+ s, and 0 s are left of compare\.budget; features"):
        bench.check_time(1e-9)
    bench.check_time(1e9)


def test_what_cannot_be_compared_is_told(recipe: Path, tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="has no labelled examples to compare models on"):
        verbs.ladder(Path("recipes/tiny.toml"), tmp_path / "a")
    with pytest.raises(UsageError, match=r"data\.train is yours, but data\.test is still the recipe's own"):
        verbs.ladder(Path("recipes/spam.toml"), tmp_path / "b", ["data.train=mine.jsonl"])
    with pytest.raises(UsageError, match=r"no rung of the ladder could be climbed: compare\.rungs names none"):
        verbs.ladder(recipe, tmp_path / "c", [*SETTINGS, "compare.rungs=mean-score"])


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"budget": "3 epochs"}, r"budget: '3 epochs' is no time; write '5 minutes'"),
        ({"rungs": "prior,svm"}, "no rung 'svm'; did you mean"),
    ],
)
def test_settings_that_cannot_be_are_refused(settings: dict[str, Any], message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        check(CompareConfig, settings, where="[compare]")


def test_the_front_has_what_nothing_else_beats_in_everything() -> None:
    costs = [(-0.9, 5.0), (-0.8, 1.0), (-0.8, 2.0), (-0.9, 5.0), (float("nan"), 0.5), (float("nan"), 0.6)]
    assert pareto(costs) == {0, 1, 3, 4}


def standing(name: str, value: float, seconds: float, *, is_best: bool = False) -> Standing:
    outcome = Outcome(name, name, seconds, 1.0, 1)
    return Standing(outcome, ({"value": value, "low": None, "high": None},), is_best=is_best)


def test_a_verdict_names_the_model_that_is_worth_it(ladder: Ladder) -> None:
    assert ladder.comparison is not None
    pair = next(pair for pair in ladder.comparison.pairs if pair.verdict == "worse")
    behind = {"worse": pair, "tied": replace(pair, verdict="not distinguishable", corrected=0.5)}
    svm, recipe = standing("linear-svm", 0.93, 3.0), standing("recipe", 0.95, 300.0, is_best=True)
    tied = verdict_of([replace(svm, against_best=behind["tied"]), recipe], 400, "accuracy")
    assert tied == (
        "The linear svm is not distinguishable from the recipe's own model at n = 400 (accuracy 0.9300 and 0.9500, "
        "p = 0.5000), and takes 3 s of training in place of 5 minutes."
    )
    as_long = verdict_of([replace(standing("gru", 0.93, 299.9), against_best=behind["tied"]), recipe], 400, "accuracy")
    assert "and takes as long to train: 5 minutes." in as_long
    worse = verdict_of([replace(svm, against_best=replace(pair, corrected=0.01)), recipe], 400, "accuracy")
    assert worse == (
        "The recipe's own model is better than all others: accuracy 0.9500 after 5 minutes of training, beside 0.9300 "
        "of the linear svm after 3 s (p = 0.0100)."
    )


CHEAP = """
name = "cheap"
[task]
{task}
[data]
train = "FILE"
{columns}
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
allocator = "as-is"
[evaluate]
resamples = 100
"""
PLACES, PEOPLE = ("北京", "上海", "广州"), ("小王", "小李", "小张")


def climbed(folder: Path, task: str, columns: str, rows: list[dict[str, Any]], rungs: str) -> Ladder:
    file, path = folder / "rows.jsonl", folder / "recipe.toml"
    file.write_text("".join(json.dumps(row, ensure_ascii=False) + "\n" for row in rows))
    path.write_text(CHEAP.format(task=task, columns=columns).replace("FILE", str(file)))
    return verbs.ladder(path, folder / "out", [f"compare.rungs={rungs}", "features.fewest_texts=1"])


def test_scores_are_graded_on_a_ladder_of_their_own(tmp_path: Path) -> None:
    """How often 好 stands in a text decides; the mean score has no correlation with anything."""
    rows = [{"text": f"第{n}家店" + "，很好" * (n % 4) + "，一般" * (3 - n % 4), "stars": n % 4} for n in range(80)]
    task, rungs = 'name = "grading"\nstep = 0', "mean-score,ridge-regression,bag-of-ngrams"
    found = climbed(tmp_path, task, 'score = "stars"', rows, rungs)
    values = {each.name: each.value for each in found.standings}
    assert math.isnan(values["mean-score"])
    assert values["ridge-regression"] > 0.9
    told = json.loads((found.path / "ladder.json").read_text(), parse_constant=pytest.fail)
    assert told["rungs"][0]["metrics"][0]["value"] is None
    assert "–" in rendered(found)


def test_tags_are_climbed_from_the_commonest_to_their_neighbours(tmp_path: Path) -> None:
    """The same names are of places behind 在 and of people elsewhere."""
    names, drawn = [*PLACES, *PEOPLE], random.Random(0)
    rows = []
    for n in range(60):
        name = names[n % 6]
        noise = ["".join(drawn.choices("abcdefgh", k=12)) for _ in range(4)]  # or all would be near-duplicates
        place, person = [noise[0], "在", name, noise[1]], [noise[2], name, "来了", noise[3]]
        rows.append({"text": " ".join(place), "tokens": place, "tags": ["O", "O", "B-LOC", "O"]})
        rows.append({"text": " ".join(person), "tokens": person, "tags": ["O", "B-PER", "O", "O"]})
    task = 'name = "token-classification"\nkind = "entities"'
    found = climbed(tmp_path, task, 'tokens = "tokens"\ntags = "tags"', rows, "commonest-tags,window")
    values = {each.name: each.value for each in found.standings}
    assert values["window"] == 1.0
    assert values["commonest-tags"] < 1.0
    assert found.verdict.startswith("The window is better than all others: entity_f1 1.0000 after")


def rendered(found: Ladder, width: int = 100) -> str:
    text = io.StringIO()
    Console(file=text, width=width).print(render(found))
    return text.getvalue()
