"""Where a function that a model writes ends, and whether what it wrote is Python."""

from __future__ import annotations

import ast
import re
import warnings

STOPS = ("\nclass", "\ndef", "\n#", "\nif", "\nprint")
"""Where HumanEval's authors end a completion: what begins a statement behind the function. As stop strings of the
sampling they also save the tokens that would be cut off."""
_HEAD = re.compile(r"^(?:async[ \t]+)?def[ \t]+(\w+)", re.MULTILINE)


def function_in(prompt: str) -> str | None:
    """The name of the function that a prompt ends in, if that stands at the margin."""
    names = _HEAD.findall(prompt)
    return names[-1] if names else None


def cut_at_end(prompt: str, completion: str, function: str) -> str:
    """The completion up to the end of the function that the prompt begins.

    At the first of `STOPS`; but where the function's own lines contain one, as text over several lines may, the syntax
    decides: the longest beginning of the completion, in whole lines, that makes the function its last statement.
    """
    ends = [at for stop in STOPS if (at := completion.find(stop)) >= 0]
    short = completion[: min(ends, default=len(completion))]
    if _ends_in(prompt + short, function):
        return short
    at = len(completion)
    while at > len(short):
        if _ends_in(prompt + completion[:at], function):
            return completion[:at]
        at = max(completion.rfind(stop, 0, at) for stop in STOPS)
    return short


def parses(text: str) -> bool:
    """Whether it is Python of the running interpreter's version, as it is or indented."""
    return _parsed(f"if True:\n{text}" if text[:1] in (" ", "\t") else text) is not None


def _ends_in(source: str, function: str) -> bool:
    """Whether this is Python whose last statement is the function of that name."""
    tree = _parsed(source)
    match tree.body[-1:] if tree is not None else []:
        case [ast.FunctionDef(name=name) | ast.AsyncFunctionDef(name=name)]:
            return name == function
        case _:
            return False


def _parsed(source: str) -> ast.Module | None:
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # of source that a model wrote
            return ast.parse(source)
    except (SyntaxError, ValueError, MemoryError, RecursionError):
        return None
