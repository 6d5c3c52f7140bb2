"""Rewards that a program can verify: the answer itself, the number that it ends in, its form, or its unit tests."""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import Any, Literal

from wenlu.errors import DataError
from wenlu.evaluation.code_tests import run_completions
from wenlu.evaluation.passing import has_tests, problem_of
from wenlu.tasks import Code, GenerativeTask

Rule = Literal["match", "number", "pattern", "unit-tests"]
_NUMBER = re.compile(r"-?\d[\d,]*(?:\.\d+)?")


def last_number(text: str) -> float | None:
    """The last number in a text, its thousands parted by commas or not; None where there is none."""
    found = _NUMBER.findall(text)
    return float(found[-1].replace(",", "")) if found else None


def rewards_of(
    rule: Rule,
    task: GenerativeTask,
    examples: Sequence[Any],
    written: Sequence[Sequence[str]],
    *,
    pattern: str = "",
    workers: int = 1,
) -> list[list[float]]:
    """1 for each text that is right and 0 for others, of each example.

    - "match": the text is the example's own, but for blanks.
    - "number": both end in the same number, as "… so it is 42." does for "42".
    - "pattern": the whole text is as the regular expression says; examples need no answer.
    - "unit-tests": the program passes its tests in the sandbox (`task = "code"`).

    Raises DataError where an example lacks what it is judged by.
    """
    if rule == "pattern":
        form = re.compile(pattern, re.DOTALL)
        return [[float(form.fullmatch(text.strip()) is not None) for text in texts] for texts in written]
    if rule == "unit-tests":
        return _tested(task, examples, written, workers)
    right = task.references(examples)
    if rule == "match":
        return [
            [float(_plain(text) == _plain(own)) for text in texts] for own, texts in zip(right, written, strict=True)
        ]
    numbers = [last_number(own) for own in right]
    for own, number in zip(right, numbers, strict=True):
        if number is None:
            raise DataError(f"rollouts.reward: the answer {own[:60]!r} has no number to compare with")
    return [
        [float(last_number(text) == number) for text in texts] for number, texts in zip(numbers, written, strict=True)
    ]


def _plain(text: str) -> str:
    return " ".join(text.split())


def _tested(
    task: GenerativeTask, examples: Sequence[Any], written: Sequence[Sequence[str]], workers: int
) -> list[list[float]]:
    assert isinstance(task, Code), "unit tests are of functions"
    for example in examples:
        if not has_tests(example):
            raise DataError(f"{example.id}: no unit_tests and entry_point to judge its function by")
    if not any(written):
        return [[] for _ in written]
    outcomes = run_completions([problem_of(example) for example in examples], written, workers=workers)
    return [[float(outcome.passed) for outcome in row] for row in outcomes]
