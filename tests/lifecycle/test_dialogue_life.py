"""The life of a model that learns to converse: scored, asked and talked with as it was trained."""

from __future__ import annotations

import io
import json
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner

import wenlu
from wenlu.bundle import Bundle
from wenlu.cli.app import app
from wenlu.corpus.chats import Turn
from wenlu.generation.conversation import Conversation
from wenlu.generation.conversation import Turn as Said
from wenlu.generation.labelled import AnsweringConfig, predict_answers
from wenlu.generation.settings import SamplingConfig
from wenlu.lifecycle.evaluate import evaluate
from wenlu.tasks import Dialogue
from wenlu.tasks.dialogues.chat import Chat

RECIPE = """
name = "tiny"
check = false

[task]
name = "dialogue"

[data]
train = "{train}"
test = "{test}"
split_by = "random"
steps = ["repair"]
validation = 0.1
workers = 1

[tokenizer]
vocab_size = 300

[model]
family = "llama"
hidden_size = 32
intermediate_size = 64
num_attention_heads = 2
num_hidden_layers = 1

[train]
duration = "6 steps"
context = 64
batch_size = 4
validations = 1
checkpoints = 1
dtype = "float32"
threads = 1
allocator = "as-is"

[evaluate]
resamples = 100
generated = 5

[generate]
max_new_tokens = 6
"""
ANIMALS = ("cat", "dog", "hen", "fox", "cow", "owl")


def talks(first: int, count: int) -> list[dict[str, Any]]:
    """Conversations in the three shapes, in turn."""
    rows: list[dict[str, Any]] = []
    for number in range(first, first + count):
        animal = ANIMALS[number % len(ANIMALS)]
        said = [f"where is {animal} {number}?", f"{animal} {number} sleeps", "and now?", f"it ate {number} mats"]
        rows.append(
            (
                {"messages": [{"role": ("user", "assistant")[i % 2], "content": text} for i, text in enumerate(said)]},
                {"conversations": [{"from": ("human", "gpt")[i % 2], "value": text} for i, text in enumerate(said)]},
                {"instruction": said[0], "input": "", "output": said[1]},
            )[number % 3]
        )
    return rows


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("chat")
    for name, rows in (("train", talks(0, 40)), ("test", talks(40, 9))):
        (folder / f"{name}.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows), encoding="utf-8")
    recipe = folder / "chat.toml"
    recipe.write_text(RECIPE.format(train=folder / "train.jsonl", test=folder / "test.jsonl"), encoding="utf-8")
    wenlu.finetune(recipe, folder / "run")
    return folder / "run"


def loaded(run: Path) -> tuple[Bundle, Dialogue]:
    bundle = wenlu.load(run)
    assert isinstance(bundle.task, Dialogue)
    return bundle, bundle.task


def test_it_is_scored_by_the_likelihood_of_all_replies_beside_an_ngram(run: Path) -> None:
    found = json.loads((run / "evaluation.json").read_text(encoding="utf-8"))
    by_name = {row["name"]: row for row in found["metrics"]}
    assert (found["headline"]["name"], found["baseline"]["name"]) == ("bits_per_byte", "baseline_bits_per_byte")
    assert "system:kneser-ney-5" in found["baseline"]["signature"]
    assert by_name["bits_per_byte"]["n"] == by_name["perplexity"]["n"] == 9
    assert "given:history" in by_name["perplexity"]["signature"]
    rows = [json.loads(line) for line in (run / "evaluation.jsonl").read_text(encoding="utf-8").splitlines()]
    replies = [text for row in talks(40, 9) for text in replies_of(row)]
    assert sum(row["target_bytes"] for row in rows) == sum(len(text) for text in replies) == found["bytes"]
    bits = sum(row["target_nll_nats"] for row in rows) / 0.6931471805599453 / found["bytes"]
    assert by_name["bits_per_byte"]["value"] == pytest.approx(bits)
    assert sum("prediction" in row for row in rows) == found["written"] == 5
    assert by_name["chrf"]["n"] == 5
    assert "system:nearest-turn" in by_name["baseline_distinct-1"]["signature"]


def replies_of(row: dict[str, Any]) -> list[str]:
    if "output" in row:
        return [row["output"]]
    return [turn.get("content", turn.get("value")) for turn in next(iter(row.values()))[1::2]]


def test_later_evaluations_say_the_same_of_the_same_conversations(run: Path) -> None:
    first = json.loads((run / "evaluation.json").read_text(encoding="utf-8"))
    again = evaluate(str(run), [f"data.test={run.parent / 'test.jsonl'}", "evaluate.generated=2"])
    assert again.value("bits_per_byte") == pytest.approx(first["bits_per_byte"])
    assert again.facts["written"] == 2


def test_the_model_is_saved_with_its_template_and_ends_its_turns(run: Path) -> None:
    bundle, task = loaded(run)
    assert bundle.tokenizer.chat_template is not None
    assert bundle.tokenizer.special_tokens["<|end|>"] == task.end_id
    assert bundle.end_ids == {bundle.tokenizer.eos_id, task.end_id}
    assert "It has a chat template and answers in roles." in (run / "model" / "README.md").read_text(encoding="utf-8")


def test_a_conversation_asks_what_the_task_would_and_keeps_the_models_own_turns(run: Path) -> None:
    _, task = loaded(run)
    conversation = wenlu.chat(run)
    sampling = SamplingConfig(max_new_tokens=6)
    answers = [
        "".join(piece.text for piece in conversation.answer(text, sampling)) for text in ("where is it?", "now?")
    ]
    assert [turn.answer for turn in conversation.turns] == answers
    turns = [Turn("user", "where is it?"), Turn("assistant", answers[0].strip() or "sleeps"), Turn("user", "now?")]
    said = [Said(turns[0].content, turns[1].content), Said(turns[2].content, "")]
    ids, _ = conversation._in_roles(said, sampling)
    assert [ids] == task.prompts([Chat.of(turns)], 64)


def test_a_conversation_forgets_what_the_model_never_learnt_to_read(run: Path) -> None:
    conversation: Conversation = wenlu.chat(run)
    conversation.turns = [Said(f"question {number}?", "an answer") for number in range(12)]
    ids, _ = conversation._in_roles([*conversation.turns, Said("last?", "")], SamplingConfig(max_new_tokens=6))
    assert 3 < len(ids) <= 64 - 6
    assert conversation.forgotten > 0


def test_a_file_of_conversations_is_answered_turn_or_text(run: Path, tmp_path: Path) -> None:
    bundle, _ = loaded(run)
    rows = [*talks(50, 3), {"text": "where is it?"}, {"messages": [{"role": "bot", "content": "x"}]}]
    (tmp_path / "new.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows), encoding="utf-8")
    out = io.StringIO()
    predict_answers(bundle, tmp_path / "new.jsonl", out, AnsweringConfig())
    lines = [json.loads(line) for line in out.getvalue().splitlines()]
    assert ["prediction" in line for line in lines] == [True] * 4 + [False]
    (tmp_path / "new.csv").write_text("ask\nwhere is it?\n", encoding="utf-8")
    other = io.StringIO()
    predict_answers(bundle, tmp_path / "new.csv", other, AnsweringConfig.model_validate({"text": "ask"}))
    assert json.loads(other.getvalue())["prediction"] == lines[3]["prediction"]


def test_lines_of_a_pipe_are_a_conversation(run: Path) -> None:
    done = CliRunner().invoke(app, ["chat", str(run), "--json", "temperature=0"], input="where is cat 1?\nand now?\n")
    assert done.exit_code == 0, done.output
    assert [json.loads(line)["prompt"] for line in done.stdout.splitlines()] == ["where is cat 1?", "and now?"]
    shown = CliRunner().invoke(app, ["evaluate", str(run), "evaluate.generated=1"])
    assert "kneser-ney-5" in shown.stdout
