"""A labelled task from a user's own file to a model with its scores, and back to answers."""

from __future__ import annotations

import csv
import io
import json
import re
import shutil
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from rich.console import Console

from wenlu.bundle import load
from wenlu.cli.chat_examples import answer_piped, rendered
from wenlu.cli.compare import render
from wenlu.errors import ConfigError, DataError, UsageError
from wenlu.evaluation.comparison import compare, write_items
from wenlu.evaluation.kept import CLUSTERS, DIGESTS, IDS
from wenlu.evaluation.kept import FILE as COLUMNS_FILE
from wenlu.generation.labelled import AnsweringConfig, predict_answers
from wenlu.generation.rows import Row
from wenlu.lifecycle import verbs
from wenlu.tasks import TextClassification

RECIPE = """
name = "tiny-labels"
check = false
[task]
name = "text-classification"
[data]
train = "FILE"
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
hidden_dropout_prob = 0.0
attention_probs_dropout_prob = 0.0
[train]
duration = "60 steps"
context = 32
batch_size = 16
validations = 3
keep_best = true
allocator = "as-is"
dtype = "float32"
threads = 1
[optimizer]
name = "adamw"
lr = 3e-3
[evaluate]
resamples = 100
"""
WORDS = {"spam": ("free", "win", "cash"), "ham": ("lunch", "meet", "notes")}


def rows(count: int = 200) -> list[dict[str, str]]:
    return [
        {"mail": f"{words[n % 3]} number {n} {words[n // 3 % 3]}", "kind": label}
        for n in range(count // 2)
        for label, words in WORDS.items()
    ]


@pytest.fixture(scope="module")
def recipe(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("labels")
    with (folder / "mails.csv").open("w", newline="") as file:
        writer = csv.DictWriter(file, ["mail", "kind"])
        writer.writeheader()
        writer.writerows(rows())
    path = folder / "classify.toml"
    path.write_text(RECIPE.replace("FILE", str(folder / "mails.csv")))
    return path


COLUMNS = ["data.text=mail", "data.label=kind"]


@pytest.fixture(scope="module")
def run(recipe: Path) -> Path:
    out = recipe.parent / "run"
    verbs.finetune(recipe, out, [*COLUMNS, "task.target_precision=0.9"])
    return out


def test_it_learns_from_columns_and_is_scored_beside_its_baseline(run: Path) -> None:
    evaluation = json.loads((run / "evaluation.json").read_text())
    scores = {score["name"]: score for score in evaluation["metrics"]}
    assert evaluation["task"] == "text-classification"
    assert scores["accuracy"]["value"] > 0.9
    assert "system:tfidf-logistic-regression" in scores["baseline_accuracy"]["signature"]
    assert "|dtype:float32|" in scores["accuracy"]["signature"]  # as it was trained, and as it predicts
    assert evaluation["details"]["per_class"][0]["label"] == "ham"
    rows = [json.loads(line) for line in (run / "evaluation.jsonl").read_text().splitlines()]
    assert {"id", "cluster", "prediction", "probability"} <= rows[0].keys()
    page = (run / "report.html").read_text()
    assert "tfidf logistic regression" in page
    assert 'id="answers"' in page


def test_the_model_knows_its_labels_columns_and_temperature(run: Path) -> None:
    task = load(run).task
    assert isinstance(task, TextClassification)
    assert task.config.labels == ("ham", "spam")
    assert task.config.columns == {"text": "mail", "label": "kind"}
    assert task.config.temperature != 1.0
    assert task.config.abstain_below is not None


def test_a_second_call_does_nothing(recipe: Path, run: Path) -> None:
    before = (run / "model" / "model.safetensors").stat().st_mtime_ns
    verbs.finetune(recipe, run, [*COLUMNS, "task.target_precision=0.9"])
    assert (run / "model" / "model.safetensors").stat().st_mtime_ns == before


def test_a_model_is_the_base_of_another(recipe: Path, run: Path) -> None:
    out = recipe.parent / "again"
    settings = recipe.read_text().partition("[tokenizer]")[0] + f'[model]\nbase = "{run}"\n[train]'
    path = recipe.with_name("again.toml")
    path.write_text(settings + recipe.read_text().partition("[train]")[2])
    verbs.finetune(path, out, [*COLUMNS, "train.duration=3 steps"])
    assert load(out).tokenizer.fingerprint == load(run).tokenizer.fingerprint
    assert load(out).config.hidden_size == 32
    with pytest.raises(ConfigError, match=r"model\.hidden_size: the base has its own size"):
        verbs.finetune(path, out, [*COLUMNS, "model.hidden_size=8"])
    with pytest.raises(ConfigError, match=r"train\.context=4096: .* reads at most 64 tokens at once"):
        verbs.finetune(path, out, [*COLUMNS, "train.context=4096"])


def test_a_class_of_transformers_is_trained_and_trained_on(recipe: Path, tmp_path: Path) -> None:
    """With task.pooling="own" the model is the class itself; with the same labels a second run begins with its head."""
    own = [*COLUMNS, "task.pooling=own"]
    verbs.finetune(recipe, tmp_path / "first", [*own, "train.duration=30 steps"])
    told = json.loads((tmp_path / "first/model/config.json").read_text())
    assert told["architectures"] == ["BertForSequenceClassification"]
    assert told["id2label"] == {"0": "ham", "1": "spam"}
    assert told["problem_type"] == "single_label_classification"
    for name in ("task.json", "README.md"):
        (tmp_path / "first/model" / name).unlink()
    settings = recipe.read_text().partition("[tokenizer]")[0] + f'[model]\nbase = "{tmp_path / "first/model"}"\n[train]'
    path = tmp_path / "second.toml"
    path.write_text(settings + recipe.read_text().partition("[train]")[2])
    still = ["train.duration=1 steps", "optimizer.lr=1e-9"]
    verbs.finetune(path, tmp_path / "second", [*own, *still])
    before, after = (load(tmp_path / name).model.state_dict() for name in ("first", "second"))
    assert all(torch.allclose(before[name], after[name], atol=1e-6) for name in before)
    verbs.finetune(path, tmp_path / "third", [*COLUMNS, *still])
    third = load(tmp_path / "third")
    assert third.config.model_dump()["head"] == "none"
    assert torch.allclose(third.model.state_dict()["embed_tokens.weight"], before["embed_tokens.weight"], atol=1e-6)


def test_a_file_is_answered_in_its_order_with_columns_of_its_own(run: Path, tmp_path: Path) -> None:
    file, out = tmp_path / "new.jsonl", tmp_path / "answers.jsonl"
    file.write_text('{"words": "free cash"}\nnot json\n{"words": "lunch notes"}\n')
    summary = predict_answers(load(run), file, out, AnsweringConfig(text="words"))  # type: ignore[call-arg]
    lines = [json.loads(line) for line in out.read_text().splitlines()]
    assert [line.get("prediction", line.get("abstained")) for line in (lines[0], lines[2])] == ["spam", "ham"]
    assert lines[1] == {"id": "new.jsonl:2", "error": "malformed JSON", "signature": lines[0]["signature"]}
    assert (summary.rows, summary.errors) == (3, 1)
    again = predict_answers(load(run), file, out, AnsweringConfig(text="words"))  # type: ignore[call-arg]
    assert (again.rows, again.resumed) == (0, 3)
    with pytest.raises(UsageError, match="wrods: text-classification reads no such column"):
        predict_answers(load(run), file, out, AnsweringConfig(wrods="words"))  # type: ignore[call-arg]


def test_an_answer_that_is_not_sure_enough_is_withheld(run: Path) -> None:
    out = io.StringIO()
    bundle = load(run)
    assert isinstance(bundle.task, TextClassification)
    doubtful = replace(bundle, task=bundle.task.with_settings(temperature=50.0))
    predict_answers(doubtful, io.BytesIO(b"free lunch\n"), out, AnsweringConfig(abstain_below=1.0))
    line = json.loads(out.getvalue())
    assert line["prediction"] is None
    assert line["abstained"] in ("ham", "spam")


def test_it_is_scored_on_another_file(run: Path, tmp_path: Path) -> None:
    file = tmp_path / "other.jsonl"
    file.write_text("".join(json.dumps({"t": row["mail"], "l": row["kind"]}) + "\n" for row in rows(20)))
    overrides = [f"data.test={file}", "data.text=t", "data.label=l"]
    evaluation = verbs.evaluate(str(run), overrides)
    assert evaluation.facts["documents"] == 20
    assert evaluation.value("accuracy") == 1.0
    assert verbs.evaluate(str(run)).facts["split"] == "test"


@pytest.fixture(scope="module")
def guesser(recipe: Path) -> Path:
    """A model that learnt for two steps."""
    out = recipe.parent / "guesser"
    verbs.finetune(recipe, out, [*COLUMNS, "train.duration=2 steps", "train.validations=1"])
    return out


def test_two_runs_are_compared_on_the_examples_that_both_answered(run: Path, guesser: Path) -> None:
    found = compare([run, guesser])
    right = [read_columns(path)["correct"] for path in (run, guesser)]
    assert found.values["accuracy"] == [pytest.approx(column.mean()) for column in right]
    (pair,) = found.pairs
    assert pair.value == pytest.approx(right[0].mean() - right[1].mean())
    assert pair.verdict == "better"
    assert pair.corrected == pair.randomised < 0.05
    parts = {(part.by, part.of): part for part in pair.slices}
    assert {("label", "ham"), ("label", "spam")} <= parts.keys()
    assert sum(parts["label", name].n for name in WORDS) == found.n == 40
    weighed = sum(parts["label", name].a * parts["label", name].n for name in WORDS) / 40
    assert weighed == pytest.approx(found.values["accuracy"][0])
    text = io.StringIO()
    Console(file=text, width=200).print(render(found, slices=True))
    for name in WORDS:
        assert re.search(rf"label +{name} +{parts['label', name].n} +{parts['label', name].a:.4f}", text.getvalue())
    assert f"{run} is better than {guesser} (accuracy, p = " in text.getvalue()


def test_what_each_run_answered_can_be_read_side_by_side(run: Path, guesser: Path, tmp_path: Path) -> None:
    write_items([run, guesser], tmp_path / "items.jsonl")
    lines = [json.loads(line) for line in (tmp_path / "items.jsonl").read_text().splitlines()]
    assert len(lines) == 40
    assert [line["agree"] for line in lines] == sorted(line["agree"] for line in lines)
    answers = lines[0]["answers"]
    assert answers[str(run)]["prediction"] != answers[str(guesser)]["prediction"]
    assert lines[0]["label"] in WORDS


def test_a_model_does_not_differ_from_itself(run: Path, guesser: Path) -> None:
    first, _, third = compare([run, run, guesser]).pairs
    assert (first.value, first.verdict, first.randomised) == (0, "not distinguishable", 1.0)
    assert third.corrected >= third.randomised
    assert "not distinguishable at n = 40 (accuracy)" in compare([run, run]).sentences()[0]


def test_runs_that_were_asked_otherwise_are_not_compared(recipe: Path, run: Path, tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="is one run; name two or more to compare"):
        compare([run])
    with pytest.raises(UsageError, match=r"holds no evaluation; make one with: wenlu evaluate"):
        compare([run, tmp_path])
    other = shutil.copytree(run, tmp_path / "other")
    digests = {**read_columns(other, DIGESTS, CLUSTERS, IDS)}
    digests[DIGESTS] = digests[DIGESTS][::-1]
    np.savez(other / COLUMNS_FILE, **digests)
    with pytest.raises(UsageError, match="were scored on other examples: 40 and 40, of which 40 are the same"):
        compare([run, other])
    (other / COLUMNS_FILE).write_bytes(b"PK")
    with pytest.raises(DataError, match="damaged"):
        compare([run, other])
    whole = (run / COLUMNS_FILE).read_bytes()
    (other / COLUMNS_FILE).write_bytes(whole)
    (other / "evaluation.jsonl").write_text("{")
    with pytest.raises(DataError, match=r"evaluation\.jsonl: damaged .*; evaluate again"):
        compare([run, other])
    shutil.copy(run / "evaluation.jsonl", other)
    (other / "evaluation.json").write_text("{")
    with pytest.raises(DataError, match=r"evaluation\.json: damaged .*; evaluate again"):
        compare([run, other])
    shutil.copy(run / "evaluation.json", other)
    with pytest.raises(UsageError, match="nowhere: no such run"):
        compare([run, tmp_path / "nowhere"])
    (other / COLUMNS_FILE).unlink()
    with pytest.raises(UsageError, match="kept no answers to pair"):
        compare([run, other])


def read_columns(path: Path, *more: str) -> dict[str, np.ndarray]:
    with np.load(path / COLUMNS_FILE) as packed:
        return {name: packed[name] for name in packed.files if name not in (DIGESTS, CLUSTERS, IDS) or name in more}


def test_lines_of_a_pipe_are_answered(run: Path) -> None:
    out = io.StringIO()
    config = AnsweringConfig(abstain_below=0.0)
    lines = [Row("1", "free cash win"), Row("2", '{"text": "lunch notes"}')]
    failed = answer_piped(load(run), lines, config, Console(file=out), as_json=False)
    assert (failed, out.getvalue()) == (0, "spam\nham\n")


def test_answers_are_shown_where_they_stand() -> None:
    told = {"prediction": "spam", "probability": 0.9, "probabilities": {"ham": 0.1, "spam": 0.9}}
    assert rendered(told, {"text": "x"}).plain == "spam   spam 90.0%  ham 10.0%"
    entities = {"prediction": [], "entities": [{"start": 2, "end": 4, "label": "LOC"}]}
    assert rendered(entities, {"text": "我在北京"}).plain == "我在北京 LOC"
    answer = {"prediction": "北京", "start": 2, "end": 4, "probability": 0.5}
    assert rendered(answer, {"question": "?", "context": "我在北京。"}).plain == "我在北京 50.0%。"


def test_what_does_not_fit_is_told(recipe: Path, tmp_path: Path) -> None:
    with pytest.raises(DataError, match=r"no column 'label'; its columns are 'mail', 'kind'"):
        verbs.finetune(recipe, tmp_path / "a", ["data.text=mail"])
    with pytest.raises(ConfigError, match=r"data\.labell: unknown key"):
        verbs.finetune(recipe, tmp_path / "b", ["data.text=mail", "data.labell=kind"])
    with pytest.raises(UsageError, match=r"nothing to fine-tune: name a model in model\.base"):
        verbs.finetune(Path("recipes/tiny.toml"), tmp_path / "c")
    with pytest.raises(UsageError, match=r"data\.train is yours, but data\.test is still the recipe's own"):
        verbs.finetune(Path("recipes/spam.toml"), tmp_path / "e", ["data.train=mine.jsonl"])
    with pytest.raises(ConfigError, match="is not made for text-classification"):
        verbs.finetune(recipe, tmp_path / "d", [*COLUMNS, 'model={family="t5"}'])


def test_a_few_records_that_are_no_examples_are_left_out_and_told(recipe: Path, tmp_path: Path) -> None:
    file = tmp_path / "some.jsonl"
    lines = [json.dumps({"text": row["mail"], "label": row["kind"]}) for row in rows(60)]
    file.write_text("\n".join([*lines, json.dumps({"text": "nothing said", "label": " "})]) + "\n")
    given = [f"data.train={file}", "train.duration=2 steps"]
    with pytest.raises(DataError, match=r"some\.jsonl:61: an empty label.*more than data\.max_bad_fraction = 0\.001"):
        verbs.finetune(recipe, tmp_path / "run", given)
    verbs.finetune(recipe, tmp_path / "run", [*given, "data.max_bad_fraction=0.2"])
    refused = [json.loads(line) for line in (tmp_path / "run" / "examples-refused.jsonl").read_text().splitlines()]
    assert [row["id"] for row in refused] == ["some.jsonl:61"]


def test_without_a_validation_part_the_last_weights_are_kept(recipe: Path, tmp_path: Path) -> None:
    given = [*COLUMNS, "data.validation=0", "train.duration=2 steps"]
    with pytest.raises(UsageError, match=r"train\.keep_best: there is no validation part to tell the best"):
        verbs.finetune(recipe, tmp_path / "run", given)
    verbs.finetune(recipe, tmp_path / "run", [*given, "train.keep_best=false"])
    task = load(tmp_path / "run").task
    assert isinstance(task, TextClassification)
    assert task.config.temperature == 1.0


def test_the_command_answers_a_text(run: Path) -> None:
    command = [sys.executable, "-m", "wenlu", "predict", str(run), "--text", "free cash", "--json"]
    done = subprocess.run(command, capture_output=True, text=True, check=True)
    told = json.loads(done.stdout)
    assert told["probabilities"]["spam"] > 0.5
