"""The page of examples runs as it stands and prints what it says; its commands are those that the program takes."""

from __future__ import annotations

import io
import re
import shlex
from contextlib import redirect_stdout
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from tests.pages import Block, blocks_of, sections_of
from typer.testing import CliRunner

from wenlu.cli.app import app
from wenlu.config import load
from wenlu.errors import ResourceError
from wenlu.lifecycle.recipe import Recipe

SECTIONS = sections_of(Path("docs/examples.md"))
LONG = ("run", "pretrain", "finetune")
"""Verbs whose commands train for minutes: their recipes and overrides are checked, Python beside them runs."""


@pytest.mark.parametrize("title", SECTIONS)
def test_an_example_runs_and_prints_what_the_page_says(
    title: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr("wenlu.lifecycle.training.use_pool", lambda: None)  # it would stay for the tests that follow
    blocks = blocks_of(SECTIONS[title])
    write_recipes(blocks)
    try:
        run_python(blocks)
    except ResourceError as error:
        pytest.skip(f"cannot fetch what the example reads: {error}")
    for line in (line for block in blocks if block.kind == "sh" for line in block.code.splitlines()):
        check_command(line)


@pytest.mark.parametrize("rate", [0.1, -0.1, 0.6])
def test_the_line_of_the_page_moves_as_its_curvature_says(rate: float) -> None:
    """Each step multiplies what separates (w, b) from the line of least squares by I - rate * curvature."""
    names: dict[str, Any] = {}
    with redirect_stdout(io.StringIO()):
        exec(blocks_of(next(iter(SECTIONS.values())))[0].code, names)
    course = names["descend"](0.0, 0.0, rate=rate)
    best, curvature = np.array([1.7, 1.4]), np.array([[3.0, 1.0], [1.0, 2.0]])
    for step in (0, 1, 10, 100):
        expected = best - np.linalg.matrix_power(np.eye(2) - rate * curvature, step) @ best
        np.testing.assert_allclose(course[step][:2], expected, rtol=1e-9)


def write_recipes(blocks: list[Block]) -> None:
    for block in blocks:
        if block.kind == "toml":
            name = re.match(r"# (\w+\.toml)\n", block.code)
            assert name, f"a recipe begins with the name of its file: {block.code}"
            Path(name[1]).write_text(block.code, encoding="utf-8")


def run_python(blocks: list[Block]) -> None:
    """Blocks share their names; behind each stands what it prints."""
    names: dict[str, Any] = {}
    for place, block in enumerate(blocks):
        if block.kind != "python":
            continue
        printed = io.StringIO()
        with redirect_stdout(printed):
            exec(compile(block.code, f"block {place}", "exec"), names)
        follows = blocks[place + 1]
        assert follows.kind == "text", f"no output stands behind: {block.code}"
        pattern = re.escape(follows.code).replace("…", ".*")
        assert re.fullmatch(pattern, printed.getvalue(), re.DOTALL), (
            f"the page says\n{follows.code}and this was printed\n{printed.getvalue()}"
        )


def check_command(line: str) -> None:
    """Run it, or where that takes minutes read its settings."""
    program, verb, *arguments = shlex.split(line, comments=True)
    assert program == "wenlu"
    if verb not in LONG:
        result = CliRunner().invoke(app, [verb, *arguments])
        assert result.exit_code == 0, f"{line}: {result.output} {result.exception!r}"
        return
    overrides = arguments[1 : arguments.index("--out")]
    load(Recipe, Path(arguments[0]), overrides)
