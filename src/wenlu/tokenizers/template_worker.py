"""Render chat templates in a process of its own, which may be killed: run as a script, one JSON object a line.

A template is a program of unknown origin. Fuel ends its loops, but a list that holds itself overflows the stack, and
lists of lists of lists print without end: such a template takes only this process with it.
"""

from __future__ import annotations

import json
import sys
from collections.abc import Mapping
from datetime import datetime
from typing import Any

from minijinja import Environment, TemplateError

MEMORY_BYTES = 2**30


class _Refused(Exception):
    """What a template says with `raise_exception`."""


def reply(request: Mapping[str, Any]) -> dict[str, Any]:
    """`{"text": …}`, `{"refused": …}` where the template does not take the messages, or `{"error": …}`."""
    try:
        text = _environment(request["fuel"]).render_str(request["source"], "chat_template", **request["variables"])
    except _Refused as refused:
        return {"refused": str(refused)}
    except TemplateError as error:
        line = f"line {error.line}: " if error.line else ""
        return {"error": f"{line}{error.detail or error.message}"}
    except (ArithmeticError, LookupError, MemoryError, RecursionError, TypeError, ValueError) as error:
        return {"error": f"{type(error).__name__}: {error}"}
    if len(text) > request["most"]:
        return {"error": f"it writes {len(text):,} characters where {request['most']:,} are allowed"}
    return {"text": text}


def _environment(fuel: int) -> Environment:
    """Jinja as `transformers` sets it up for chat templates."""
    return Environment(
        fuel=fuel,
        debug=False,
        trim_blocks=True,
        lstrip_blocks=True,
        filters={"tojson": _tojson, "indent": _indent},
        tests={"iterable": _iterable, "sequence": _iterable},
        globals={"raise_exception": _raise_exception, "strftime_now": _strftime_now},
    )


def _tojson(
    value: Any,
    ensure_ascii: bool = False,
    indent: int | str | None = None,
    separators: tuple[str, str] | None = None,
    sort_keys: bool = False,
) -> str:
    """As JSON, without the escapes for HTML."""
    if isinstance(indent, int) and indent > 32:
        raise ValueError(f"tojson(indent={indent}): more than 32")
    return json.dumps(value, ensure_ascii=ensure_ascii, indent=indent, separators=separators, sort_keys=sort_keys)


def _indent(text: str, width: int | str = 4, first: bool = False, blank: bool = False) -> str:
    """Each line but the first, and but empty ones, further in; an end of line at the end stays."""
    space = width if isinstance(width, str) else " " * width
    lines = f"{text}\n".splitlines()
    rest = [space + line if line or blank else line for line in lines[1:]]
    return "\n".join([space + lines[0] if first else lines[0], *rest])


def _iterable(value: Any) -> bool:
    """Text and mappings are iterables and sequences to Jinja; what is undefined arrives as None and is neither."""
    return isinstance(value, str | Mapping) or hasattr(value, "__iter__")


def _raise_exception(message: str) -> None:
    raise _Refused(message)


def _strftime_now(form: str) -> str:
    return datetime.now().strftime(form)


def _limit(seconds: int) -> None:
    """Bound memory for good, and processor time for the next request."""
    try:
        import resource
    except ImportError:  # Windows: the parent's clock is what is left
        return
    used = resource.getrusage(resource.RUSAGE_SELF)
    spent = int(used.ru_utime + used.ru_stime) + 1
    resource.setrlimit(resource.RLIMIT_CPU, (spent + seconds, resource.getrlimit(resource.RLIMIT_CPU)[1]))
    resource.setrlimit(resource.RLIMIT_AS, (MEMORY_BYTES, MEMORY_BYTES))
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))


def main() -> None:
    """Answer each line of standard input with one line, until it ends."""
    for line in sys.stdin.buffer:
        request = json.loads(line)
        _limit(request["seconds"])
        sys.stdout.buffer.write(json.dumps(reply(request)).encode() + b"\n")
        sys.stdout.buffer.flush()


if __name__ == "__main__":
    main()
