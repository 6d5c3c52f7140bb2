"""Whole tiny lives of taggers and readers: from a CoNLL and a SQuAD file to predictions of such files."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

import wenlu
from wenlu.config import load
from wenlu.corpus.prepare import read_split
from wenlu.errors import ConfigError, UsageError
from wenlu.evaluation import Evaluation
from wenlu.generation.labelled import AnsweringConfig, predict_answers
from wenlu.lifecycle.recipe import Recipe
from wenlu.lifecycle.verbs import data, evaluate, finetune
from wenlu.tasks import TokenClassification

RECIPE = """
name = "tiny"
check = false
task = {{name = "{task}", head_dropout = 0.0}}
[data]
train = {{path = "{train}", kind = "{kind}"}}
validation = {{path = "{test}", kind = "{kind}"}}
test = {{path = "{test}", kind = "{kind}"}}
steps = []
decontaminate = false
[tokenizer]
vocab_size = 280
[model]
family = "bert"
hidden_size = 32
num_hidden_layers = 1
num_attention_heads = 2
intermediate_size = 64
[train]
duration = "20 steps"
context = 32
batch_size = 8
threads = 1
allocator = "as-is"
dtype = "float32"
[optimizer]
name = "adamw"
lr = 3e-3
[evaluate]
resamples = 100
"""
SENTENCES = [
    ("the cat sat on the mat .", "O B-ANIMAL O O O B-PLACE O"),
    ("the red dog sat in New York", "O O B-ANIMAL O O B-PLACE I-PLACE"),
    ("U.N. partridges slept 1996-08-22", "B-PLACE B-ANIMAL O O"),
    ("我 们 住 在 上 海", "O O O O B-PLACE I-PLACE"),
]


def conll(path: Path, count: int) -> Path:
    blocks = []
    for number in range(count):
        words, tags = SENTENCES[number % len(SENTENCES)]
        lines = [f"{word} X {tag}" for word, tag in zip(f"{words} {number}".split(), f"{tags} O".split(), strict=True)]
        blocks.append("\n".join(lines))
    path.write_text("-DOCSTART- X O\n\n" + "\n\n".join(blocks) + "\n", encoding="utf-8")
    return path


def squad(path: Path, count: int) -> Path:
    paragraphs = []
    for number in range(count):
        context = f"the cat {number} sat on the mat. 我们住在上海，the dog didn't move."
        questions = [("who sat?", f"the cat {number}"), ("谁住在上海？", "我们"), ("when?", None)]
        qas = [
            {
                "id": f"{number}-{place}",
                "question": question,
                "answers": [] if text is None else [{"text": text, "answer_start": context.index(text)}],
                "is_impossible": text is None,
            }
            for place, (question, text) in enumerate(questions)
        ]
        paragraphs.append({"context": context, "qas": qas})
    content = {"version": "v2.0", "data": [{"title": "cats", "paragraphs": paragraphs}]}
    path.write_text(json.dumps(content, ensure_ascii=False), encoding="utf-8")
    return path


def life(tmp_path: Path, task: str, kind: str, write: Any) -> tuple[Path, Path]:
    train, test = write(tmp_path / "train.txt", 24), write(tmp_path / "test.txt", 8)
    recipe = tmp_path / "recipe.toml"
    recipe.write_text(RECIPE.format(task=task, kind=kind, train=train, test=test), encoding="utf-8")
    finetune(recipe, tmp_path / "run")
    return tmp_path / "run", test


def predictions(run: Path, source: Path, out: Path, kind: str) -> list[dict[str, Any]]:
    predict_answers(wenlu.load(run), source, out, AnsweringConfig(kind=kind))
    return [json.loads(line) for line in out.read_text(encoding="utf-8").splitlines()]


def test_a_tagger_is_made_of_a_conll_file_and_reads_one(tmp_path: Path) -> None:
    run, test = life(tmp_path, "token-classification", "conll", conll)
    evaluation = json.loads((run / "evaluation.json").read_text())
    names = [metric["name"] for metric in evaluation["metrics"]]
    assert names == ["entity_f1", "entity_precision", "entity_recall", "word_accuracy", "baseline_entity_f1"]
    assert json.loads((run / "model/task.json").read_text())["labels"] == ["ANIMAL", "PLACE"]
    assert json.loads((run / "model/task.json").read_text())["words"] == "whole"
    lines = predictions(run, test, tmp_path / "out.jsonl", "conll")
    assert len(lines) == 8
    assert all(len(line["tokens"]) == len(line["tags"]) for line in lines)
    assert all("error" not in line for line in lines)


def test_a_reader_is_made_of_a_squad_file_and_reads_one(tmp_path: Path) -> None:
    run, test = life(tmp_path, "question-answering", "squad", squad)
    evaluation = json.loads((run / "evaluation.json").read_text())
    assert [m["name"] for m in evaluation["metrics"]] == ["answer_f1", "exact_match", "baseline_answer_f1"]
    settled = json.loads((run / "model/task.json").read_text())
    assert settled["null"] is True
    assert settled["language"] == "zh"
    lines = predictions(run, test, tmp_path / "out.jsonl", "squad")
    assert len(lines) == 24
    assert all("error" not in line for line in lines)
    assert all(line["prediction"] == "" or line["end"] > line["start"] for line in lines)
    assert [line["id"] for line in lines] == [f"{number}-{place}" for number in range(8) for place in range(3)]
    answers, bundle = tmp_path / "answers.json", wenlu.load(run)
    predict_answers(bundle, test, answers, AnsweringConfig(kind="squad"))
    assert json.loads(answers.read_text(encoding="utf-8")) == {line["id"]: line["prediction"] for line in lines}
    odds = json.loads((tmp_path / "answers.null-odds.json").read_text(encoding="utf-8"))
    assert odds == {line["id"]: line["no_answer"] for line in lines}
    with pytest.raises(UsageError, match=r"answers\.json: is there already; --overwrite replaces it"):
        predict_answers(bundle, test, answers, AnsweringConfig(kind="squad"))
    surest = asked_otherwise(run, ["task.null_threshold=1e9"])
    assert {row["prediction"] for row in surest.rows} != {""}
    assert {row["prediction"] for row in asked_otherwise(run, ["task.null_threshold=-1e9"]).rows} == {""}


def asked_otherwise(run: Path, overrides: list[str]) -> Evaluation:
    return evaluate(str(run), [*overrides, "evaluate.baseline=false"])


def test_entities_stay_where_they_were_annotated(tmp_path: Path) -> None:
    """What `repair` makes shorter stands before each entity; of other tasks it is repaired as ever."""
    rows = [
        {
            "text": f"cafÃ© {n}\r\n the cat sat",
            "entities": [{"start": 13 + len(str(n)), "end": 16 + len(str(n)), "label": "A"}],
        }
        for n in range(8)
    ]
    assert rows[0]["text"][14:17] == "cat"
    (tmp_path / "train.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows), encoding="utf-8")
    recipe = tmp_path / "recipe.toml"
    lines = ['name = "tiny"', 'task = "token-classification"', "[data]", f'train = "{tmp_path / "train.jsonl"}"']
    lines += ['entities = "entities"', 'split_by = "random"', "validation = 0.0", "test = 0.0"]
    recipe.write_text("\n".join(lines), encoding="utf-8")
    data(recipe, tmp_path / "run")
    config = load(Recipe, recipe).task
    for record in read_split(tmp_path / "run" / "data", "train"):
        example = TokenClassification.example_of(record, config)
        assert [example.words.text[one.start : one.end] for one in example.mentions] == ["cat"]
    with pytest.raises(
        ConfigError, match=r"data\.steps: 'repair' changes texts, and the answers of token-classification"
    ):
        load(Recipe, recipe, ['data.steps=["repair"]'])
    tagged = load(Recipe, recipe, ['data={train="x.conll", steps=["repair"]}'])
    assert [step.step for step in tagged.task_data.steps] == ["repair"]


@pytest.mark.parametrize("name", ["tag", "answer"])
def test_the_recipes_say_what_they_mean(name: str) -> None:
    recipe = load(Recipe, Path(f"recipes/{name}.toml"))
    read = recipe.task_data.all_sources()[0]
    assert read.meta == {"tag": ("tokens", "tags"), "answer": ("context", "answers")}[name]
