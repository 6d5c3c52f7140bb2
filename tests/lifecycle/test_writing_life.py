"""Lives of models that learn to write: from pairs to a model that is asked and scored as it was trained."""

from __future__ import annotations

import io
import json
import random
from pathlib import Path
from typing import Any

import pytest
from tests.tasks.tiny import CHINESE, ENGLISH

import wenlu
from wenlu.bundle import Bundle
from wenlu.corpus.augment import read_way
from wenlu.corpus.record import Record
from wenlu.corpus.sources import SourceSpec, open_source
from wenlu.errors import ConfigError, DataError, UsageError
from wenlu.generation.answering import answers_to, sampling_of
from wenlu.generation.labelled import AnsweringConfig, predict_answers, signature
from wenlu.generation.text import encode_prompt
from wenlu.lifecycle.augment_changes import changes_of
from wenlu.progress import Progress
from wenlu.tasks import WritingTask
from wenlu.tasks.labelled.writing import TextPair

RECIPE = """
name = "tiny"
check = false

[task]
name = "{task}"
max_target_tokens = {most}

[data]
train = "{file}"
split_by = "random"
steps = ["repair"]
validation = 0.1
test = 0.2
workers = 1

[tokenizer]
vocab_size = 300

[model]
{model}
hidden_size = 32
num_hidden_layers = 1

[train]
duration = "6 steps"
context = {context}
batch_size = 4
validations = 1
checkpoints = 1
dtype = "float32"
threads = 1
allocator = "as-is"

[evaluate]
resamples = 100

[generate]
num_beams = 2
length_penalty = 0.5
max_new_tokens = 6
"""


class Warnings(Progress):
    def __init__(self) -> None:
        self.said: list[str] = []

    def warn(self, message: str) -> None:
        self.said.append(message)


@pytest.fixture(scope="module")
def translator(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Warnings]:
    """An encoder–decoder of pairs in a table, one of which is too long to be learnt whole."""
    folder, warnings = tmp_path_factory.mktemp("translate"), Warnings()
    pairs = [(chinese, english.strip()) for chinese in CHINESE for english in ENGLISH[:3]]
    rows = ["zh\ten", *(f"第{number}号{zh}\t{number} {en}" for number, (zh, en) in enumerate(pairs))]
    rows[1] += " " + " ".join(ENGLISH[0].split() * 3)
    (folder / "pairs.tsv").write_text("\n".join(rows) + "\n", encoding="utf-8")
    recipe = folder / "translate.toml"
    model = 'family = "lstm_encoder_decoder"'
    recipe.write_text(
        RECIPE.format(task="translation", file=folder / "pairs.tsv", model=model, most=40, context=64), encoding="utf-8"
    )
    wenlu.finetune(recipe, folder / "run", ["data.source=zh", "data.target=en"], progress=warnings)
    return folder / "run", warnings


@pytest.fixture(scope="module")
def summariser(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A decoder of pairs in JSON."""
    folder = tmp_path_factory.mktemp("summarise")
    rows = [{"text": f"{n} {text}", "title": f"number {n}"} for n, text in enumerate(ENGLISH)]
    (folder / "articles.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows), encoding="utf-8")
    recipe = folder / "summarise.toml"
    model = 'family = "llama"\nintermediate_size = 64\nnum_attention_heads = 2'
    recipe.write_text(
        RECIPE.format(task="summarisation", file=folder / "articles.jsonl", model=model, most=16, context=96),
        encoding="utf-8",
    )
    wenlu.finetune(recipe, folder / "run", ["data.summary=title"])
    return folder / "run"


def loaded(run: Path) -> tuple[Bundle, WritingTask]:
    bundle = wenlu.load(run)
    assert isinstance(bundle.task, WritingTask)
    return bundle, bundle.task


def evaluated(run: Path) -> dict[str, Any]:
    found: dict[str, Any] = json.loads((run / "evaluation.json").read_text(encoding="utf-8"))
    return found


def test_the_way_and_the_lengths_are_kept_with_the_model(translator: tuple[Path, Warnings], summariser: Path) -> None:
    configs = [loaded(run)[1].config for run in (translator[0], summariser)]
    assert [config.way for config in configs] == ["encoder-decoder", "decoder"]
    assert [(config.max_source_tokens, config.max_target_tokens) for config in configs] == [(64, 40), (80, 16)]


def test_the_tokenizer_learnt_from_targets_and_sources(translator: tuple[Path, Warnings]) -> None:
    tokenizer = loaded(translator[0])[0].tokenizer
    assert len(tokenizer.encode(" the")) == 1
    source = f"第1号{CHINESE[0]}"
    assert len(tokenizer.encode(source)) < len(source.encode())


def test_a_target_that_is_cut_is_told_once(translator: tuple[Path, Warnings]) -> None:
    told = [warning for warning in translator[1].said if "targets are longer than task.max_target_tokens" in warning]
    assert len({warning.partition(":")[0] for warning in told}) == len(told) > 0


def test_a_source_alone_is_read_as_in_training(translator: tuple[Path, Warnings]) -> None:
    """Whoever asks without the task, as a server does."""
    bundle, task = loaded(translator[0])
    assert [encode_prompt(bundle, "酒店")] == task.prompts([TextPair("酒店")], 64)


@pytest.mark.parametrize("which", ["translator", "summariser"])
def test_it_is_scored_beside_its_baseline_by_the_search_of_the_recipe(
    which: str, request: pytest.FixtureRequest
) -> None:
    made = request.getfixturevalue(which)
    found = evaluated(made[0] if which == "translator" else made)
    assert found["task"] == {"translator": "translation", "summariser": "summarisation"}[which]
    assert found["baseline"]["name"].startswith("baseline_")
    scores = {row["name"]: row["value"] for row in found["metrics"]}
    assert scores["bits_per_byte"] > scores["baseline_bits_per_byte"] > 0, "which has learnt for six steps only"
    assert "given:source" in next(row["signature"] for row in found["metrics"] if row["name"] == "perplexity")
    assert "decoding:beams-2-penalty-0.5" in found["headline"]["signature"]


@pytest.mark.parametrize("which", ["translator", "summariser"])
def test_the_search_of_the_recipe_is_that_of_later_questions(which: str, request: pytest.FixtureRequest) -> None:
    made = request.getfixturevalue(which)
    bundle, _ = loaded(made[0] if which == "translator" else made)
    sampling = sampling_of(bundle)
    assert (sampling.num_beams, sampling.length_penalty, sampling.max_new_tokens) == (2, 0.5, 6)
    greedy = sampling_of(bundle, {"num_beams": 1})
    assert (greedy.num_beams, greedy.length_penalty) == (1, 1.0)
    examples = [TextPair("the cat sat on the mat"), TextPair("酒店")]
    best, likely = (answers_to(bundle, examples, 64, each) for each in (sampling, greedy))
    assert all(answer.tokens <= 6 for answer in [*best, *likely])
    scores = [[answer.logprob / answer.tokens**0.5 for answer in answers] for answers in (best, likely)]
    assert all(a >= b - 1e-4 for a, b in zip(*scores, strict=True))


def test_a_file_is_predicted_with_the_settings_that_are_given(summariser: Path, tmp_path: Path) -> None:
    bundle, _ = loaded(summariser)
    (tmp_path / "new.jsonl").write_text('{"body": "the cat sat on the mat"}\n', encoding="utf-8")
    settings = AnsweringConfig.model_validate({"text": "body", "max_new_tokens": 2, "num_beams": 1})
    out = io.StringIO()
    predict_answers(bundle, tmp_path / "new.jsonl", out, settings)
    line = json.loads(out.getvalue())
    assert 1 <= line["tokens"] <= 2
    assert 0 < line["probability"] <= 1
    assert signature(bundle, settings) != signature(bundle, AnsweringConfig())


def test_what_was_read_is_said_again_so_that_answers_become_pairs(summariser: Path, tmp_path: Path) -> None:
    """What one model wrote of a file is what another learns from: back-translation."""
    bundle, _ = loaded(summariser)
    (tmp_path / "new.csv").write_text("body,page\nthe cat sat,3\n", encoding="utf-8")
    settings = AnsweringConfig.model_validate({"text": "body", "keep": "body, page, other", "max_new_tokens": 2})
    with pytest.raises(DataError, match="no column 'other'"):
        predict_answers(bundle, tmp_path / "new.csv", io.StringIO(), settings)
    settings = AnsweringConfig.model_validate({"text": "body", "keep": "body, page", "max_new_tokens": 2})
    predict_answers(bundle, tmp_path / "new.csv", tmp_path / "pairs.jsonl", settings)
    told = json.loads((tmp_path / "pairs.jsonl").read_text(encoding="utf-8"))
    assert (told["body"], told["page"]) == ("the cat sat", "3")
    spec = SourceSpec(
        path=str(tmp_path / "pairs.jsonl"), rename={"prediction": "text", "body": "summary"}, meta=("summary",)
    )
    (record,) = open_source(spec)
    assert isinstance(record, Record)
    assert (record.text, record.meta["summary"]) == (told["prediction"], "the cat sat")


def test_answers_do_not_end_at_strings(summariser: Path) -> None:
    bundle, _ = loaded(summariser)
    with pytest.raises(UsageError, match="answers of summarisation end where the model ends them"):
        answers_to(bundle, [TextPair("a")], 64, sampling_of(bundle, {"num_beams": 1, "stop": ("x",)}))


def test_it_is_scored_as_it_would_write_otherwise(translator: tuple[Path, Warnings]) -> None:
    run = str(translator[0])
    greedy = wenlu.evaluate(run, ["generate.num_beams=1", "generate.max_new_tokens=3", "evaluate.baseline=false"])
    assert "decoding:greedy" in greedy.scores[0].signature
    assert all(row["probability"] is None or len(row["prediction"].split()) <= 3 for row in greedy.rows)
    wide = wenlu.evaluate(run, ["generate.num_beams=4", "task.max_source_tokens=8", "evaluate.baseline=false"])
    assert "decoding:beams-4-penalty-0.5" in wide.scores[0].signature
    for given, error, message in (
        ("generate.num_beans=4", ConfigError, r"num_beans: unknown key; did you mean num_beams"),
        ("task.way=decoder", ConfigError, r"task\.way: was settled in training; what can be asked otherwise: .*prefix"),
        ("task.wey=decoder", ConfigError, r"task\.wey: is no setting of the task"),
        ("train.context=8", UsageError, r"train\.context: was settled when .*run was trained; what can be said here: "),
    ):
        with pytest.raises(error, match=message):
            wenlu.evaluate(run, [given])


def test_texts_are_translated_there_and_back_and_copies_differ(translator: tuple[Path, Warnings]) -> None:
    """The same model both ways, which knows little: what counts is that each text has its own, the same every time."""
    run = str(translator[0])
    way = {"way": "back-translation", "there": run, "back": run, "temperature": 2.0, "most_tokens": 12}
    change = changes_of(read_way(way), seed=0)
    texts = ["猫坐在垫子上。", "the dog", "x" * 60]
    drawn = [random.Random(0)] * 3
    made = change(texts, drawn, 0)
    assert made == changes_of(read_way(way), seed=0)(texts, drawn, 0)
    assert [*change(texts[1:2], drawn[:1], 0)] == made[1:2]  # whatever else is translated beside it
    assert made[2] == texts[2]  # too long for a model of sentences
    assert len({tuple(change(texts, drawn, copy)) for copy in range(6)}) > 1
