"""Functions as they would stand by themselves."""

from __future__ import annotations

import ast
import os
from pathlib import Path

import pytest

from wenlu.corpus.code_prompts import standing_alone
from wenlu.corpus.record import Drop, Record
from wenlu.corpus.source import SourceSpec
from wenlu.corpus.sources import open_source
from wenlu.errors import DataError

PROOF = os.environ.get("WENLU_PROOF") == "1"
MODULE = '''from __future__ import annotations
import os, sys as system
import xml.dom
from typing import Any, Sequence
from .near import *

class Stack:
    @property
    def top(self) -> Any:
        """The last one.

        Of all.
        """
        return xml.dom.Node

    def push(self, item):
        """Put it on top."""
        text = """not
indented"""
        system.exit(text)

def alone(x):
    """Nothing is imported for it."""
    return x
'''


def test_prompts_begin_with_the_imports_that_the_function_uses() -> None:
    top, push, alone = standing_alone(MODULE)
    assert top.prompt.startswith("import xml.dom\nfrom typing import Any\n\n\n@property\ndef top(self) -> Any:\n")
    assert push.prompt == 'import sys as system\n\n\ndef push(self, item):\n    """Put it on top."""\n'
    assert alone.prompt == 'def alone(x):\n    """Nothing is imported for it."""\n'


def test_methods_stand_at_the_margin_and_texts_over_lines_stay() -> None:
    top, push, _ = standing_alone(MODULE)
    assert top.prompt.endswith('    """The last one.\n\n    Of all.\n    """\n')
    assert top.completion == "    return xml.dom.Node\n"
    assert push.completion == '    text = """not\nindented"""\n    system.exit(text)\n'


def test_the_library_stands_alone_and_parses() -> None:
    records = list(open_source(SourceSpec(path="stdlib", limit=None if PROOF else 40)))
    modules = [record for record in records if isinstance(record, Record)]
    found = [function for module in modules for function in standing_alone(module.text)]
    assert len(found) > (6000 if PROOF else 300)
    for function in found:
        last = ast.parse(function.prompt + function.completion).body[-1]
        assert isinstance(last, ast.FunctionDef | ast.AsyncFunctionDef)
        assert last.name == function.name.rpartition(".")[2]


def test_a_folder_is_read_function_by_function_with_modules_as_groups(tmp_path: Path) -> None:
    (tmp_path / "a").mkdir()
    (tmp_path / "a" / "b.py").write_text(MODULE)
    (tmp_path / "old.py").write_text("print 'Python 2'\n")
    (tmp_path / "notes.txt").write_text("no code")
    spec = SourceSpec(path=str(tmp_path), name="mine", kind="python-functions", text="prompt", meta=("completion",))
    items = list(open_source(spec))
    records = [item for item in items if isinstance(item, Record)]
    assert [record.id for record in records] == [f"mine/a/b.py:{name}" for name in ("Stack.top", "Stack.push", "alone")]
    assert {record.meta["group"] for record in records} == {"a.b"}
    assert records[2].meta["completion"] == "    return x\n"
    reasons = {item.record.id: item.reason for item in items if isinstance(item, Drop)}
    assert reasons == {"mine/notes.txt": "unknown file type", "mine/old.py": "not Python of this version"}


def test_the_groups_of_a_single_file_are_its_classes_and_functions(tmp_path: Path) -> None:
    (tmp_path / "a.py").write_text(MODULE)
    spec = SourceSpec(path=str(tmp_path / "a.py"), kind="python-functions")
    groups = [item.meta["group"] for item in open_source(spec) if isinstance(item, Record)]
    assert groups == ["a.Stack", "a.Stack", "a.alone"]


def test_a_column_that_functions_do_not_have_is_named(tmp_path: Path) -> None:
    (tmp_path / "a.py").write_text(MODULE)
    spec = SourceSpec(path=str(tmp_path), kind="python-functions", meta=("label",))
    with pytest.raises(DataError, match="no column 'label'; its columns are 'text', 'prompt', 'completion', 'name'"):
        list(open_source(spec))
