"""Whether generated code passes its unit tests, as HumanEval asks (Chen et al. 2021, arXiv:2107.03374)."""

from __future__ import annotations

import gzip
import json
import zlib
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from wenlu.errors import DataError, UsageError
from wenlu.evaluation.sandbox import Limits, Outcome, run_many
from wenlu.metrics import Columns
from wenlu.tasks.coding.ends import cut_at_end

_COLUMNS = {"id": "task_id", "prompt": "prompt", "test": "test", "entry_point": "entry_point"}
_LIMITS = Limits()


@dataclass(frozen=True)
class Problem:
    """A function to write.

    Attributes:
        prompt: source that ends in the function's signature and docstring.
        test: source that defines `check(candidate)`, which raises where the function is wrong.
        entry_point: the function's name.
        solution: a body that is right, where the file gives one.
    """

    id: str
    prompt: str
    test: str
    entry_point: str
    solution: str | None = None


def read_problems(
    path: Path, columns: Mapping[str, str] = _COLUMNS, *, solution: str = "canonical_solution"
) -> list[Problem]:
    """The problems of a JSONL file, which may be packed as .gz; by default with HumanEval's names of columns.

    Args:
        columns: the file's name for each of id, prompt, test, entry_point.

    Raises DataError for a file that cannot be read, and a line without one of these columns.
    """
    problems = []
    for number, line in enumerate(_lines(path), start=1):
        if not line.strip():
            continue
        where = f"{path}: line {number}"
        try:
            row = json.loads(line)
        except ValueError as error:
            raise DataError(f"{where}: no JSON ({error})") from error
        if not isinstance(row, dict):
            raise DataError(f"{where}: an object is expected, not {type(row).__name__}")
        given = {name: _text(row, column, where) for name, column in columns.items()}
        known = row.get(solution)
        problems.append(Problem(**given, solution=known if isinstance(known, str) else None))
    if not problems:
        raise DataError(f"{path}: no problems in it; an object a line is expected, with {', '.join(columns.values())}")
    return problems


def cut(problem: Problem, completion: str) -> str:
    """The completion up to the end of the function, as `cut_at_end`."""
    return cut_at_end(problem.prompt, completion, problem.entry_point)


def program_of(problem: Problem, completion: str) -> str:
    """A program that reaches its end if the completed function passes the tests."""
    function = problem.prompt + cut(problem, completion)
    return f"{function}\n{problem.test}\ncheck({problem.entry_point})\n"


def run_completions(
    problems: Sequence[Problem],
    completions: Sequence[Sequence[str]],
    limits: Limits = _LIMITS,
    *,
    workers: int = 1,
    allow_weaker: bool = False,
) -> list[list[Outcome]]:
    """How each completion of each problem did; raises as `sandbox.run_tests`."""
    if len(problems) != len(completions):
        raise UsageError(f"completions of {len(completions)} problems were given for {len(problems)} problems")
    programs = [program_of(*pair) for pair in _pairs(problems, completions)]
    outcomes = run_many(programs, limits, workers=workers, allow_weaker=allow_weaker)
    return [[next(outcomes) for _ in given] for given in completions]


def pass_columns(outcomes: Sequence[Sequence[Outcome]], ks: Sequence[int] = (1,)) -> Columns:
    """Per problem how many completions there are, and how many passed: what pass@k is computed from.

    Raises UsageError where a problem has fewer completions than the largest of `ks`.
    """
    samples = np.array([len(row) for row in outcomes], np.int64)
    if len(samples) and samples.min() < max(ks):
        raise UsageError(
            f"pass@{max(ks)} needs {max(ks)} completions of each problem, and one has {samples.min()}; generate more"
        )
    passed = np.array([sum(outcome.passed for outcome in row) for row in outcomes], np.int64)
    return {"samples": samples, "passed": passed}


def _pairs(problems: Sequence[Problem], completions: Sequence[Sequence[str]]) -> Iterator[tuple[Problem, str]]:
    for problem, given in zip(problems, completions, strict=True):
        for completion in given:
            yield problem, completion


def _lines(path: Path) -> list[str]:
    try:
        data = path.read_bytes()
        return (gzip.decompress(data) if data[:2] == b"\x1f\x8b" else data).decode("utf-8").splitlines()
    except FileNotFoundError as error:
        raise DataError(f"{path}: no such file") from error
    except (OSError, EOFError, zlib.error, UnicodeDecodeError) as error:
        raise DataError(f"{path}: cannot be read ({error})") from error


def _text(row: Mapping[str, Any], column: str, where: str) -> str:
    if not isinstance(row.get(column), str):
        raise DataError(f"{where}: no text in {column!r}; its columns are {', '.join(map(repr, row))}")
    text: str = row[column]
    return text
