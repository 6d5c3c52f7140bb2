"""A function of a module as it would stand by itself: behind the imports that it uses, and without indentation."""

from __future__ import annotations

import ast
import warnings
from collections.abc import Iterator

from wenlu.corpus.code_functions import CodeFunction, functions


def standing_alone(text: str, *, where: str = "text") -> Iterator[CodeFunction]:
    """As `functions`, but prompts begin with imports, and methods and inner functions stand at the margin.

    Imports are those at the module's top that bind a name the function uses. Lines of a text over several lines that
    are indented less than the function stay where they are. Left out is what would not parse then.

    Raises DataError as `functions`.
    """
    imports: list[ast.Import | ast.ImportFrom] | None = None
    for function in functions(text, where=where):
        if imports is None:
            imports = [node for node in _parsed(text).body if isinstance(node, ast.Import | ast.ImportFrom)]
        margin = _margin(function.prompt)
        prompt, completion = _dedented(function.prompt, margin), _dedented(function.completion, margin)
        try:
            names = {node.id for node in ast.walk(_parsed(prompt + completion)) if isinstance(node, ast.Name)}
        except SyntaxError:
            continue
        lines = [line for node in imports if (line := _import_of(node, names))]
        head = "\n".join(lines) + "\n\n\n" if lines else ""
        yield CodeFunction(
            function.name,
            function.occurrence,
            function.begin,
            function.body,
            function.end,
            head + prompt,
            completion,
        )


def _parsed(text: str) -> ast.Module:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # of source that is not ours
        return ast.parse(text)


def _margin(prompt: str) -> str:
    return prompt[: len(prompt) - len(prompt.lstrip(" \t\f"))]


def _dedented(text: str, margin: str) -> str:
    return "\n".join(line.removeprefix(margin) for line in text.split("\n"))


def _import_of(node: ast.Import | ast.ImportFrom, names: set[str]) -> str:
    """The statement with the names that are used; nothing where none is."""
    if isinstance(node, ast.ImportFrom) and node.module == "__future__":
        return ""
    used = [alias for alias in node.names if (alias.asname or alias.name.partition(".")[0]) in names]
    if not used:
        return ""
    if isinstance(node, ast.Import):
        return ast.unparse(ast.Import(used))
    return ast.unparse(ast.ImportFrom(node.module, used, node.level))
