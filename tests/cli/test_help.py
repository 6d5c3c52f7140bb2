"""Each verb's help ends in a command that runs when pasted."""

from __future__ import annotations

import inspect
import json
import os
import re
import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from wenlu.cli.app import VERBS
from wenlu.cli.runs import SUBCOMMANDS

EXAMPLE = re.compile(r"Example: (.+)")


def example(*words: str) -> str:
    """The line of the help as a narrow terminal shows it."""
    name = " ".join(words)
    shown = subprocess.run(
        [sys.executable, "-m", "wenlu", *words, "--help"],
        env={**os.environ, "COLUMNS": "60"},
        capture_output=True,
        text=True,
        check=True,
    )
    found = EXAMPLE.search(shown.stdout)
    assert found is not None, f"{name}: the help has no example"
    return found.group(1)


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Where the examples run: the repository's recipes, and finished tiny runs."""
    path = tmp_path_factory.mktemp("examples")
    (path / "recipes").symlink_to(Path("recipes").absolute())
    rows = [{"text": f"{label} number {n}", "label": label} for n in range(30) for label in ("good", "bad")]
    (path / "a.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    paste("wenlu run recipes/tiny.toml --out runs/tiny", path)
    shutil.copytree(path / "runs/tiny", path / "runs/pretrained")
    return path


def paste(line: str, folder: Path) -> str:
    environment = {**os.environ, "PATH": f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}"}
    result = subprocess.run(
        line, shell=True, cwd=folder, env=environment, input="", capture_output=True, text=True, timeout=280
    )
    assert result.returncode == 0, result.stderr
    return result.stdout


@pytest.mark.parametrize("verb", [verb for verb, _ in VERBS], ids=lambda verb: verb.__name__)
def test_the_example_in_the_help_runs_when_pasted(verb: Callable[..., object], folder: Path) -> None:
    line = example(verb.__name__)
    assert f"wenlu {verb.__name__} " in f"{line} "
    paste(line, folder)


@pytest.mark.parametrize("name", [name for name, _, _ in SUBCOMMANDS if name != "list"])
def test_the_example_of_each_thing_to_do_with_runs_runs_when_pasted(name: str, folder: Path) -> None:
    line = example("runs", name)
    assert f"wenlu runs {name} " in line
    paste(line, folder)


@pytest.mark.parametrize("verb", [*(verb for verb, _ in VERBS), *(verb for _, verb, _ in SUBCOMMANDS)])
def test_every_verb_prints_json_when_asked(verb: Callable[..., object]) -> None:
    takes_json = "json" in inspect.signature(verb).parameters
    assert takes_json or verb.__name__ == "chat", "chat talks to a person"
