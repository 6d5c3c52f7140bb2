"""Each verb's help ends in a command that runs when pasted; that of `serve`, which does not end, in test_serve.py.

`make proof-cli` pastes each into a shell; `make test` that of a whole life, that with a pipe, and those that load no
torch, and calls the others in its own process, one of them for fewer steps.
"""

from __future__ import annotations

import inspect
import json
import os
import re
import shlex
import shutil
import subprocess
import sys
from collections.abc import Callable, Sequence
from pathlib import Path

import pytest
import torch
from typer.testing import CliRunner

from wenlu.cli.app import VERBS, app
from wenlu.cli.runs import SUBCOMMANDS
from wenlu.cli.serve import serve

PROOF = os.environ.get("WENLU_PROOF") == "1"
PASTED = ("chat", "runs", "doctor")
FIRST = "wenlu run recipes/tiny.toml --out runs/tiny"
SMALL = "{family='bert', hidden_size=16, intermediate_size=32, num_hidden_layers=1, num_attention_heads=2}"
TOKENIZER = "tokenizer={kind='char', vocab_size='auto'}"
SHORT = {
    "compress": ["compress.measure=false"],
    "finetune": ["train.duration=2 steps", "check=false"],
    "tune": ["train.duration=2 steps", "tune.trials=1"],
    "ablate": [
        "train.duration=2 steps",
        'data.train=["a.jsonl", "b.jsonl"]',
        f"model={SMALL}",
        TOKENIZER,
        "check=false",
    ],
}
EXAMPLE = re.compile(r"Example: (.+)")


def example(*words: str) -> str:
    """The line of the help as a narrow terminal shows it."""
    name = " ".join(words)
    shown = CliRunner().invoke(app, [*words, "--help"], env={"COLUMNS": "60"})
    assert shown.exit_code == 0, shown.output
    found = EXAMPLE.search(shown.stdout)
    assert found is not None, f"{name}: the help has no example"
    return found.group(1)


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Where the examples run: the repository's recipes, and finished tiny runs."""
    path = tmp_path_factory.mktemp("examples")
    (path / "recipes").symlink_to(Path("recipes").absolute())
    rows = [{"text": f"{label} number {n}", "label": label} for n in range(30) for label in ("good", "bad")]
    for name in ("a.jsonl", "b.jsonl"):
        (path / name).write_text("".join(json.dumps({**row, "text": f"{name} {row['text']}"}) + "\n" for row in rows))
    paste(FIRST, path)
    shutil.copytree(path / "runs/tiny", path / "runs/pretrained")
    return path


def paste(line: str, folder: Path) -> str:
    environment = {**os.environ, "PATH": f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}"}
    result = subprocess.run(
        line, shell=True, cwd=folder, env=environment, input="", capture_output=True, text=True, timeout=280
    )
    assert result.returncode == 0, result.stderr
    return result.stdout


def call(line: str, folder: Path, patch: pytest.MonkeyPatch, more: Sequence[str]) -> None:
    """As `paste`, without a shell and a process that loads torch, and with `more` settings."""
    patch.chdir(folder)
    patch.setenv("GLIBC_TUNABLES", "glibc.malloc.hugetlb=0")  # or training would start the process of the tests again
    threads = torch.get_num_threads()
    try:
        done = CliRunner().invoke(app, [*shlex.split(line)[1:], *more], catch_exceptions=False)
    finally:
        torch.set_num_threads(threads)
    assert done.exit_code == 0, done.output


@pytest.mark.parametrize("verb", [verb for verb, _ in VERBS if verb is not serve], ids=lambda verb: verb.__name__)
def test_the_example_in_the_help_runs_when_pasted(
    verb: Callable[..., object], folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    line = example(verb.__name__)
    assert f"wenlu {verb.__name__} " in f"{line} "
    assert verb is not VERBS[0][0] or line == FIRST, "which `folder` has pasted"
    if PROOF or verb.__name__ in PASTED:
        paste(line, folder)
    else:
        call(line, folder, monkeypatch, SHORT.get(verb.__name__, ()))


@pytest.mark.parametrize("name", [name for name, _, _ in SUBCOMMANDS if name != "list"])
def test_the_example_of_each_thing_to_do_with_runs_runs_when_pasted(
    name: str, folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    line = example("runs", name)
    assert f"wenlu runs {name} " in line
    if name in SHORT:
        call(line, folder, monkeypatch, SHORT[name])
    else:
        paste(line, folder)


@pytest.mark.parametrize("verb", [*(verb for verb, _ in VERBS), *(verb for _, verb, _ in SUBCOMMANDS)])
def test_every_verb_prints_json_when_asked(verb: Callable[..., object]) -> None:
    takes_json = "json" in inspect.signature(verb).parameters
    assert takes_json or verb.__name__ == "chat", "chat talks to a person"
