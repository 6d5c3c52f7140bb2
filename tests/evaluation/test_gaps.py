"""A line is taken out of a function, and what is filled in is compared with it."""

from __future__ import annotations

import pytest

from wenlu.evaluation.gaps import without_a_line
from wenlu.tasks.coding.settings import CodeExample

BODY = "    if x:  \n        return 1\n\n    return 2"


def test_the_line_and_what_stands_around_it_are_the_function() -> None:
    taken = set()
    for number in range(40):
        gap = without_a_line(CodeExample("def f(x):\n", BODY, str(number)))
        assert f"{gap.source}{gap.target}{gap.suffix}" == f"def f(x):\n{BODY}\n"
        assert gap.target is not None
        taken.add(gap.target)
    assert taken == {"if x:", "return 1", "return 2"}


@pytest.mark.parametrize("id", ["a:1", "a:2"])
def test_which_line_depends_on_the_id_alone(id: str) -> None:
    first, second = (without_a_line(CodeExample(f"def f{n}(x):\n", BODY, id)) for n in range(2))
    assert first.target == second.target
