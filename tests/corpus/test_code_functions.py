from __future__ import annotations

import ast
import os
import textwrap

import pytest

from wenlu.corpus.code_functions import function_rows, functions
from wenlu.corpus.record import Record
from wenlu.corpus.source import SourceSpec
from wenlu.corpus.sources import open_source
from wenlu.errors import DataError

PROOF = os.environ.get("WENLU_PROOF") == "1"
FUNCTION = ast.FunctionDef | ast.AsyncFunctionDef
MODULE = '''import functools

class Shape:
    """Not a function."""

    @property
    def area(self):
        """Square metres, 平方米."""
        def inner(x):
            "Nested."
            return x * 2
        return inner(self.side)  # 面积

    @area.setter
    @functools.cache
    def area(self, value): 
        """Set it.

        Over lines.
        """

        # why
        self.side = value

async def later(
    x=1,
):
    r"""Asynchronous.""";
    return x

def same_line(): "doc"; return 1
def shared():
    "doc"; return 1
def nothing():
    """Only a docstring."""
def without():
    return 1
if True:
    def last():
        """At the end, without a line break."""
        @property
        def inside(): pass
        return """text
over lines"""'''


def test_functions_are_found_where_they_are_nested_and_overloaded() -> None:
    found = [(f.name, f.occurrence) for f in functions(MODULE)]
    assert found == [("Shape.area", 0), ("Shape.area.inner", 0), ("Shape.area", 1), ("later", 0), ("last", 0)]


def test_the_seam_lies_behind_the_docstring() -> None:
    _, inner, setter, later, last = functions(MODULE)
    assert inner.prompt == '        def inner(x):\n            "Nested."\n'
    assert inner.completion == "            return x * 2\n"
    assert setter.prompt.startswith("    @area.setter\n    @functools.cache\n    def area(self, value): \n")
    assert setter.completion == "\n        # why\n        self.side = value\n"
    assert later.prompt == 'async def later(\n    x=1,\n):\n    r"""Asynchronous.""";\n'
    assert last.completion.startswith("        @property\n")
    assert last.completion.endswith('over lines"""')


def test_rows_have_their_own_ids_and_are_held_out_by_module() -> None:
    rows = list(function_rows(Record(MODULE, "a/b.py", {"group": "a.b"})))
    assert [row["id"] for row in rows][:3] == ["a/b.py:Shape.area", "a/b.py:Shape.area.inner", "a/b.py:Shape.area@2"]
    assert {row["group"] for row in rows} == {"a.b"}
    assert all(row["prompt"] + row["completion"] in MODULE for row in rows)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("def f(:\n", "m.py: not Python that this interpreter reads"),
        ("x = '\0'", "m.py: not Python that this interpreter reads"),
        ("x = 1\ry = 2\n", "m.py: lines end in a carriage return alone"),
    ],
)
def test_what_is_not_python_is_refused(text: str, message: str) -> None:
    with pytest.raises(DataError, match=message):
        list(functions(text, where="m.py"))


def test_lines_may_end_in_two_characters() -> None:
    (function,) = functions('x = 1\r\ndef f():\r\n    """Doc."""\r\n    return 1\r\n')
    assert (function.begin, function.completion) == (7, "    return 1\r\n")


def test_this_interpreters_library_has_thousands_and_each_is_a_slice_that_parses() -> None:
    """As many in each module as its syntax tree has functions with a docstring and something behind it.

    `make test` reads every fourth module, and parses every twentieth.
    """
    count = 0
    records = [record for record in open_source(SourceSpec(path="stdlib")) if isinstance(record, Record)]
    step = 1 if PROOF else 4
    for number, record in enumerate(records[::step]):
        found = list(functions(record.text))
        count += len(found)
        if number % 5 and not PROOF:
            continue
        nodes = ast.walk(ast.parse(record.text))
        bodies = [node.body for node in nodes if isinstance(node, FUNCTION) and ast.get_docstring(node) is not None]
        assert len(found) == sum(len(body) > 1 for body in bodies)
        assert len({row["id"] for row in function_rows(record)}) == len(found)
        for function in found:
            assert record.text[function.begin : function.body] == function.prompt
            assert record.text[function.body : function.end] == function.completion
            _check_parses(function.prompt, function.completion, function.name)
    assert count >= 6000 // step


def _check_parses(prompt: str, completion: str, name: str) -> None:
    head = "if True:\n" if prompt[:1].isspace() else ""
    (whole,) = ast.parse(head + prompt + completion).body
    node = whole.body[0] if isinstance(whole, ast.If) and head else whole
    (alone,) = ast.parse(head + prompt).body
    stub = alone.body[0] if isinstance(alone, ast.If) and head else alone
    assert isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef)
    assert isinstance(stub, ast.FunctionDef | ast.AsyncFunctionDef)
    assert node.name == stub.name == name.rpartition(".")[2]
    assert len(stub.body) == 1, "the prompt ends with the docstring"
    assert ast.get_docstring(stub) == ast.get_docstring(node) is not None
    assert textwrap.dedent(completion).strip()
