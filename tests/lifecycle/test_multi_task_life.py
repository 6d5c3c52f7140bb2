"""Several tasks from their own files to one model that answers for each, and a table of what each gained by it."""

from __future__ import annotations

import json
import os
import signal
from pathlib import Path

import pytest
from tests.tasks.labelled import LABELLED
from typer.testing import CliRunner

from wenlu.bundle import load
from wenlu.cli.app import app
from wenlu.errors import ConfigError, Interrupted, UsageError
from wenlu.evaluation import EvaluateConfig
from wenlu.lifecycle import verbs
from wenlu.lifecycle.export import export
from wenlu.lifecycle.labelled_evaluation import evaluate_labelled_run
from wenlu.progress import Progress
from wenlu.tasks import Grading, MultiTask, TextClassification

RECIPE = """
name = "tiny-multi"
check = false
[task]
name = "multi-task"
temperature = 2
weighting = "uncertainty"
[members.topics]
task = "text-classification"
[members.topics.data]
train = "FOLDER/text-classification.jsonl"
text = "body"
steps = []
split_by = "random"
validation = 0.2
test = 0.2
[members.grades]
task = {name = "grading", scale = [1, 6]}
[members.grades.data]
train = "FOLDER/grading.jsonl"
steps = []
split_by = "random"
validation = 0.2
test = 0.2
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
duration = "24 steps"
context = 32
batch_size = 8
validations = 2
allocator = "as-is"
dtype = "float32"
threads = 1
[optimizer]
name = "adamw"
lr = 3e-3
[evaluate]
resamples = 100
"""


@pytest.fixture(scope="module")
def recipe(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("multi")
    for name in ("text-classification", "grading"):
        rows = [
            {("body" if key == "text" and name[0] == "t" else key): value for key, value in row.items()}
            for row in LABELLED[name].rows * 6
        ]
        (folder / f"{name}.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    path = folder / "multi.toml"
    path.write_text(RECIPE.replace("FOLDER", str(folder)))
    return path


@pytest.fixture(scope="module")
def run(recipe: Path) -> Path:
    out = recipe.parent / "run"
    verbs.finetune(recipe, out, ["task.singles=true"])
    return out


def test_each_member_is_scored_with_its_own_metrics_beside_its_own_baseline(run: Path) -> None:
    evaluation = json.loads((run / "evaluation.json").read_text())
    names = {score["name"] for score in evaluation["metrics"]}
    assert {"topics.accuracy", "topics.baseline_accuracy", "grades.quadratic_kappa"} <= names
    assert evaluation["members"]["topics"]["headline"]["name"] == "accuracy"
    assert evaluation["members"]["grades"]["baseline"]["name"] == "baseline_quadratic_kappa"


def test_the_table_tells_what_each_gained_by_the_others(run: Path) -> None:
    rows = json.loads((run / "transfer.json").read_text())
    assert [row["member"] for row in rows] == ["topics", "grades"]
    assert sum(row["steps"] for row in rows) == 24
    evaluation = json.loads((run / "evaluation.json").read_text())
    scores = {score["name"]: score["value"] for score in evaluation["metrics"]}
    for row in rows:
        alone = load(run / "members" / row["member"] / "alone")
        found = evaluate_labelled_run(
            alone, run / "members" / row["member"], EvaluateConfig(context=32, baseline=False)
        )
        assert row["together"] == pytest.approx(scores[f"{row['member']}.{row['metric']}"])
        assert row["alone"] == pytest.approx(found.value(row["metric"]))
        assert row["difference"]["value"] == pytest.approx(row["together"] - row["alone"])
        assert row["effect"] in ("positive", "negative", "not distinguishable")
    page = (run / "report.html").read_text()
    assert 'id="transfer"' in page
    assert "together minus alone" in page


def test_a_member_is_a_model_of_its_task_alone(run: Path) -> None:
    topics, grades = load(run, task="topics"), load(run, task="grades")
    assert isinstance(topics.task, TextClassification)
    assert isinstance(grades.task, Grading)
    assert topics.task.config.columns == {"text": "body"}
    assert isinstance(load(run).task, MultiTask)
    assert not list((run / "model" / "members").rglob("model.safetensors"))
    with pytest.raises(UsageError, match=r"has no task 'topic'; did you mean topics\?"):
        load(run, task="topic")
    with pytest.raises(UsageError, match=r"was not trained for several tasks, so leave out task=topics"):
        load(run / "members" / "topics" / "alone", task="topics")


def test_the_verbs_ask_for_a_member_and_take_one(run: Path, tmp_path: Path) -> None:
    runner = CliRunner()
    told = runner.invoke(app, ["predict", str(run), "task=topics", "--text", "the cat sat on the mat", "--json"])
    assert json.loads(told.stdout)["prediction"] in ("bird", "cat", "dog", "hotel")
    file = tmp_path / "new.jsonl"
    file.write_text('{"text": "the cat sat on the mat"}\n')
    told = runner.invoke(app, ["predict", str(run), str(file), "task=grades"])
    assert "expected" in json.loads(told.stdout)
    piped = runner.invoke(app, ["chat", str(run), "task=grades", "--json"], input="the cat sat\n")
    assert "prediction" in json.loads(piped.stdout)
    for verb in (["predict", str(run), "--text", "x"], ["chat", str(run)]):
        error = runner.invoke(app, verb, input="x\n").exception
        assert isinstance(error, UsageError)
        assert "choose one with task=NAME: topics (text-classification), grades (grading)" in str(error)
    shown = runner.invoke(app, ["evaluate", str(run)])
    assert "topics.accuracy" in shown.stdout
    one = json.loads(runner.invoke(app, ["evaluate", str(run), "task=topics", "--json"]).stdout)
    assert one["headline"]["name"] == "accuracy"
    given = ["task=topics", f"data.test={tmp_path / 'new.jsonl'}", "data.text=text"]
    with pytest.raises(UsageError, match=r"data: .* does several tasks; say whose examples they are"):
        verbs.evaluate(str(run), given[1:])


def test_a_member_is_exported_as_a_model_of_its_own(run: Path, tmp_path: Path) -> None:
    export(run, tmp_path / "grader", ["task=grades"])
    assert isinstance(load(tmp_path / "grader").task, Grading)
    export(run, tmp_path / "both")
    assert isinstance(load(tmp_path / "both", task="topics").task, TextClassification)


def test_a_run_that_was_stopped_resumes_bit_for_bit(recipe: Path, run: Path, tmp_path: Path) -> None:
    class StopAt(Progress):
        def start(self, name: str, total: float | None = None, unit: str = "") -> None:  # noqa: ARG002
            self.trains = name == "train"

        def update(self, done: float, **facts: str) -> None:  # noqa: ARG002
            if self.trains and done == 9:
                os.kill(os.getpid(), signal.SIGINT)

    out = tmp_path / "run"
    with pytest.raises(Interrupted, match="stopped after step 9 of 24"):
        verbs.pretrain(recipe, out, progress=StopAt())
    verbs.pretrain(recipe, out)
    for path in (run / "model").rglob("*.safetensors"):
        assert path.read_bytes() == (out / path.relative_to(run)).read_bytes()
    told = [json.loads((each / "model/task.json").read_text()) for each in (run, out)]
    assert told[0]["log_variances"] == told[1]["log_variances"] != {"topics": 0.0, "grades": 0.0}


def test_a_second_call_does_nothing_and_the_table_can_come_later(recipe: Path, run: Path) -> None:
    files = [
        run / "model/model.safetensors",
        run / "transfer.json",
        run / "members/topics/alone/model/model.safetensors",
    ]
    before = [file.stat().st_mtime_ns for file in files]
    verbs.finetune(recipe, run, ["task.singles=true"])
    assert [file.stat().st_mtime_ns for file in files] == before
    verbs.finetune(recipe, run)
    assert not (run / "transfer.json").exists()
    verbs.finetune(recipe, run, ["task.singles=true"])
    assert [file.stat().st_mtime_ns for file in files if file.suffix != ".json"] == [before[0], before[2]]
    assert (run / "transfer.json").exists()


@pytest.mark.parametrize(
    ("overrides", "message"),
    [
        (["members={}"], r"members: multi-task needs two or more; add sections \[members\.NAME\.task\] and \.data"),
        (["data.train=a.csv"], r"data: each member has its own; move it to \[members\.NAME\.data\]"),
        (["task=grading"], r"data: required|members: share a training with task\.name=\"multi-task\""),
        (["members.topics.task=translation"], r"task: translation has no head of its own beside which others share"),
        (
            ["members.topics.task={name = 'text-classification', pooling = 'own'}"],
            r"the head of text-classification would stand in the model",
        ),
        (["members.topics.dta=1"], r"members\.topics\.dta: unknown key"),
        (["members.topic.data.train=a.csv"], r"no members\.topic; did you mean topics\?"),
        (["task.weights={topic = 2}"], r"task\.weights: no member 'topic'; did you mean topics\?"),
        (["task.temperature=0"], r"temperature: input should be greater than 0"),
        (["task.weighting=fixed", "task.log_variances={topics = 1.0}"], r"task\.log_variances: are learnt with"),
        (["model={family = 't5'}"], r"family 't5' is not made for multi-task"),
    ],
)
def test_settings_that_do_not_fit_are_told(recipe: Path, tmp_path: Path, overrides: list[str], message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        verbs.finetune(recipe, tmp_path / "run", overrides)


def test_a_member_of_yours_is_not_judged_by_the_recipes_own(tmp_path: Path) -> None:
    with pytest.raises(
        UsageError, match=r"members\.spam\.data\.train is yours, but members\.spam\.data\.test is still"
    ):
        verbs.finetune(Path("recipes/multi.toml"), tmp_path / "run", ["members.spam.data.train=mine.csv"])
    with pytest.raises(UsageError, match="has several tasks, each with data of its own"):
        verbs.data(Path("recipes/multi.toml"), tmp_path / "run")
