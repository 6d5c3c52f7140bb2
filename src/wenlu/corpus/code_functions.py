"""Functions with docstrings out of Python source: signature and docstring are a prompt, the body its completion."""

from __future__ import annotations

import ast
import warnings
from collections.abc import Iterator
from dataclasses import dataclass

from wenlu.corpus.record import Record
from wenlu.errors import DataError

_Function = ast.FunctionDef | ast.AsyncFunctionDef


@dataclass(frozen=True)
class CodeFunction:
    """A function, method or function inside another one.

    Attributes:
        name: with those around it: `Stack.push`.
        begin, body, end: in characters of the text: prompt is text[begin:body], completion text[body:end], both in
            whole lines; begin is the first decorator's line.
        occurrence: 0, or how many functions of the same name come before it: a property's setter, an overload, a
            branch for another system.
    """

    name: str
    occurrence: int
    begin: int
    body: int
    end: int
    prompt: str
    completion: str

    @property
    def text(self) -> str:
        """The lines of the function as they stand in the file."""
        return self.prompt + self.completion


def functions(text: str, *, where: str = "text") -> Iterator[CodeFunction]:
    """The functions in a module that have a docstring and a body behind it, in the order of their first lines.

    Left out are those whose docstring or body shares a line with something else, as there is no clean seam.

    Raises DataError where `text` is not Python of the running interpreter's version; `where` names it.
    """
    if "\r" in text.replace("\r\n", "\n"):
        raise DataError(f"{where}: lines end in a carriage return alone; write \\n, as the source `python` does")
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # of source that is not ours
            tree = ast.parse(text)
    except (SyntaxError, ValueError, RecursionError, MemoryError) as error:
        raise DataError(f"{where}: not Python that this interpreter reads ({error}); leave the file out") from error
    starts = _line_starts(text)
    seen: dict[str, int] = {}
    for name, node in _named(tree, ""):
        occurrence = seen.get(name, 0)
        seen[name] = occurrence + 1
        found = _seam(node, starts)
        if found is not None:
            begin, body, end = found
            yield CodeFunction(name, occurrence, begin, body, end, text[begin:body], text[body:end])


def function_rows(record: Record) -> Iterator[dict[str, str]]:
    """The functions of a module as rows with id, prompt, completion, and the module as the group to hold out whole.

    Raises DataError as `functions`.
    """
    for function in functions(record.text, where=record.id):
        again = f"@{function.occurrence + 1}" if function.occurrence else ""
        yield {
            "id": f"{record.id}:{function.name}{again}",
            "prompt": function.prompt,
            "completion": function.completion,
            "group": record.meta.get("group", record.id),
        }


def _named(node: ast.AST, prefix: str) -> Iterator[tuple[str, _Function]]:
    for child in ast.iter_child_nodes(node):
        match child:
            case ast.FunctionDef() | ast.AsyncFunctionDef():
                yield prefix + child.name, child
                yield from _named(child, f"{prefix}{child.name}.")
            case ast.ClassDef():
                yield from _named(child, f"{prefix}{child.name}.")
            case _:
                yield from _named(child, prefix)


def _seam(node: _Function, starts: list[int]) -> tuple[int, int, int] | None:
    """Where the function begins, where its body begins behind the docstring, and where it ends."""
    if ast.get_docstring(node, clean=False) is None or len(node.body) < 2:
        return None
    docstring, last = node.body[0], node.body[-1]
    assert docstring.end_lineno is not None, "parsed from text"
    assert last.end_lineno is not None, "parsed from text"
    first_line = min([node.lineno, *(item.lineno for item in node.decorator_list)])
    begin, body, end = starts[first_line - 1], starts[docstring.end_lineno], starts[last.end_lineno]
    next_statement = node.body[1]
    first_body_line = min(
        [next_statement.lineno, *(item.lineno for item in getattr(next_statement, "decorator_list", []))]
    )
    if docstring.lineno == node.lineno or first_body_line <= docstring.end_lineno:
        return None
    return begin, body, end


def _line_starts(text: str) -> list[int]:
    """The offset of each line as Python's parser counts them, and the length of the text."""
    starts = [0]
    at = 0
    while (at := text.find("\n", at)) >= 0:
        at += 1
        starts.append(at)
    if starts[-1] != len(text):
        starts.append(len(text))
    return starts
