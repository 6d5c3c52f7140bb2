"""From a folder of Python files to a model that writes bodies, fills gaps, and is scored by running tests."""

from __future__ import annotations

import io
import json
import sys
from pathlib import Path
from typing import Any

import pytest
import torch
from rich.console import Console
from tests.tasks.tiny import SIZES

import wenlu
from wenlu.cli import chat_examples
from wenlu.cli.evaluate import render
from wenlu.corpus.prepare import read_split
from wenlu.evaluation.sandbox import walls
from wenlu.generation.labelled import AnsweringConfig, predict_answers
from wenlu.generation.rows import Row
from wenlu.lifecycle.model_folder import write_model_folder
from wenlu.models import family
from wenlu.progress import Progress
from wenlu.tasks import Code
from wenlu.tasks.coding.gaps import SENTINELS
from wenlu.tokenizers import TokenizerConfig, train_tokenizer

HOLDS = sys.platform == "linux" and all(walls()[name] for name in ("no network", "no files outside", "bounded memory"))
RECIPE = """
name = "tiny"
check = false

[task]
name = "code"

[data]
train = "{folder}"
steps = ["repair"]
split_by = "group"
group = "group"
near_duplicate_threshold = 0.99
validation = 0.2
test = 0.2
workers = 1

[tokenizer]
vocab_size = 300

[model]
family = "llama"
hidden_size = 32
intermediate_size = 64
num_hidden_layers = 1
num_attention_heads = 2

[train]
duration = "6 steps"
context = 96
batch_size = 8
validations = 1
checkpoints = 1
dtype = "float32"
threads = 1
allocator = "as-is"

[evaluate]
resamples = 100

[generate]
max_new_tokens = 8
"""
NAMES = ["edit_similarity", "accuracy", "parses"]
PROBLEM = {
    "task_id": "made/0",
    "prompt": 'def double(x):\n    """Twice x."""\n',
    "test": "def check(candidate):\n    assert candidate(2) == 4\n",
    "entry_point": "double",
    "canonical_solution": "    return 2 * x\n",
}


class Warnings(Progress):
    def __init__(self) -> None:
        self.said: list[str] = []

    def warn(self, message: str) -> None:
        self.said.append(message)


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("code")
    (folder / "mine").mkdir()
    words = ("apple", "bear", "cloud", "door", "egg", "fish", "grass", "house")
    for number, word in enumerate(words):
        functions = [
            f'def {word}_{other}(x):\n    """The {word} and {other}, {number}."""\n    return x + {number}\n'
            for other in words
            if other != word
        ]
        (folder / "mine" / f"{word}.py").write_text("import os\n\n" + "\n\n".join(functions))
    (folder / "code.toml").write_text(RECIPE.format(folder=folder / "mine"))
    wenlu.finetune(folder / "code.toml", folder / "run")
    return folder / "run"


@pytest.fixture(scope="module")
def problems(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("problems") / "problems.jsonl"
    path.write_text("".join(json.dumps({**PROBLEM, "task_id": f"made/{number}"}) + "\n" for number in range(2)))
    return path


def predicted(run: Path, file: Path, **settings: Any) -> list[dict[str, Any]]:
    out = io.StringIO()
    predict_answers(wenlu.load(run), file, out, AnsweringConfig.model_validate(settings))
    return [json.loads(line) for line in out.getvalue().splitlines()]


def test_modules_are_held_out_whole(run: Path) -> None:
    groups = [{record.meta["group"] for record in read_split(run / "data", split)} for split in ("train", "test")]
    assert groups[0] & groups[1] == set()
    assert all(groups)


def test_it_is_scored_beside_the_body_of_the_nearest_docstring(run: Path) -> None:
    found = json.loads((run / "evaluation.json").read_text())
    assert found["headline"]["name"] == "edit_similarity"
    assert [score["name"] for score in found["metrics"]][:3] == NAMES
    assert {f"gap_{name}" for name in NAMES} <= {score["name"] for score in found["metrics"]}
    assert "system:nearest-docstring" in found["baseline"]["signature"]
    assert found["baseline"]["value"] > 0.8  # "    return x + N"


def test_a_base_gets_the_tokens_around_gaps(tmp_path: Path, run: Path) -> None:
    """Each begins as the mean of the tokens that the base knows."""
    tokenizer = train_tokenizer(TokenizerConfig(vocab_size=258), ["def f(x):\n    return x\n"])
    torch.manual_seed(0)
    llama = family("llama")
    sizes = {key: value for key, value in SIZES.items() if key in llama.config.model_fields}
    model = llama.build(llama.config(vocab_size=tokenizer.vocab_size, **sizes), dtype=torch.float32)
    (tmp_path / "base").mkdir()
    write_model_folder(tmp_path / "base", model, llama, tokenizer, generation={}, card="")
    recipe = (run.parent / "code.toml").read_text().partition("[tokenizer]")
    (tmp_path / "code.toml").write_text(f'{recipe[0]}[model]\nbase = "{tmp_path / "base"}"\n[train]')
    settings = 'train={duration="1 steps", context=96, batch_size=8, validations=0, dtype="float32", threads=1}'
    wenlu.pretrain(
        tmp_path / "code.toml",
        tmp_path / "run",
        [settings, "train.allocator=as-is", "check=false", "optimizer.lr=1e-12"],
    )
    bundle = wenlu.load(tmp_path / "run")
    known = tokenizer.vocab_size
    assert [bundle.tokenizer.token(known + number) for number in range(3)] == [*SENTINELS[0]]
    before, after = (each.get_parameter("embed_tokens.weight").detach() for each in (model, bundle.model))
    torch.testing.assert_close(after[:known], before)
    torch.testing.assert_close(after[known:], before.mean(dim=0).expand(3, -1))


def test_gaps_are_filled_from_columns_and_marks(run: Path, tmp_path: Path) -> None:
    (tmp_path / "gaps.jsonl").write_text(json.dumps({"prefix": "def f(x):\n    ", "suffix": " x\n"}) + "\n")
    (tmp_path / "half.py").write_text("def f(x):\n    <fill> x\n")
    (by_columns,) = predicted(run, tmp_path / "gaps.jsonl", prompt="prefix", suffix="suffix")
    (by_mark,) = predicted(run, tmp_path / "half.py")
    assert by_columns["prediction"] == by_mark["prediction"]
    assert 0 < by_mark["probability"] < 1


def test_a_python_file_is_asked_function_by_function(run: Path, tmp_path: Path) -> None:
    (tmp_path / "a.py").write_text('def f(x):\n    """Doc."""\n    ...\n\ndef g(x):\n    """Doc."""\n    ...\n')
    found = predicted(run, tmp_path / "a.py", kind="python-functions")
    assert [line["id"] for line in found] == ["a.py:f", "a.py:g"]
    assert found[0]["prediction"] is not None


@pytest.mark.skipif(not HOLDS, reason="this system does not grant the walls")
def test_programs_are_run_with_their_tests(run: Path, problems: Path) -> None:
    source = f'data.test={{path = "{problems}", kind = "human-eval"}}'
    evaluation = wenlu.evaluate(str(run), [source, "evaluate.samples=2", "evaluate.k=[1, 2]"])
    values = {score.name: score.value for score in evaluation.scores}
    assert values["pass@1"] == values["pass@2"] == 0.0  # it has hardly learnt
    assert evaluation.facts["details"]["unit_tests"]["programs"] == 4


def test_scores_are_shown_beside_the_baseline(run: Path) -> None:
    shown = io.StringIO()
    Console(file=shown, width=200).print(render(wenlu.evaluate(str(run))))
    assert "gap_edit_similarity" in shown.getvalue()
    assert "model − nearest-docstring:" in shown.getvalue()


def test_walls_that_are_missing_are_told_and_nothing_is_run(
    run: Path, problems: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sys, "platform", "plan9")
    warnings = Warnings()
    source = f'data.test={{path = "{problems}", kind = "human-eval"}}'
    evaluation = wenlu.evaluate(str(run), [source, "evaluate.baseline=false"], progress=warnings)
    assert evaluation.score("pass@1") is None
    assert "on Linux only, not on plan9" in evaluation.facts["details"]["unit_tests"]["skipped"]
    assert any(said.startswith("pass@k is not measured: programs are run behind walls") for said in warnings.said)


def test_what_is_typed_ends_with_an_empty_line_outside_of_a_docstring(
    run: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    lines = iter(["def f(x):", '    """Twice.', "", "    Of x.", '    """', "", EOFError()])

    def typed(_: str) -> str:
        line = next(lines)
        if isinstance(line, EOFError):
            raise line
        return line

    monkeypatch.setattr("builtins.input", typed)
    bundle, shown = wenlu.load(run), io.StringIO()
    console = Console(file=shown, width=100)
    chat_examples.converse(bundle, AnsweringConfig(), console, console)
    assert 'def f(x):\n    """Twice.\n\n    Of x.\n    """\n' in shown.getvalue()


def test_a_gap_is_shown_filled() -> None:
    told = {"prediction": "return 2"}
    task = object.__new__(Code)
    assert chat_examples.rendered(told, {"prompt": "a <fill> b"}, task).plain == "a return 2 b"
    assert chat_examples.rendered(told, {"prompt": "def f():"}, task).plain == "def f():\nreturn 2"


def test_a_piped_line_may_hold_the_lines_of_a_prompt(run: Path) -> None:
    shown = io.StringIO()
    row = Row("stdin:1", json.dumps({"prompt": 'def f(x):\n    """Doc."""'}))
    failed = chat_examples.answer_piped(wenlu.load(run), [row], AnsweringConfig(), Console(file=shown), as_json=True)
    assert failed == 0
    assert "prediction" in json.loads(shown.getvalue())
