"""Render chat templates in a process of its own, which may be killed: run as a script, one JSON object a line.

A template is a program of unknown origin. Fuel ends its loops, but a list that holds itself overflows the stack, and
lists of lists of lists print without end: such a template takes only this process with it.
"""

from __future__ import annotations

import html
import json
import pprint
import re
import sys
from collections.abc import Mapping
from datetime import datetime
from typing import Any

from minijinja import Environment, TemplateError, safe

MEMORY_BYTES = 2**30
_NOT_THERE = "\ufdd0undefined"


class _Given(dict[str, Any]):
    """A mapping that the caller gave; those that a template makes arrive as `dict`."""


class _Undefined:
    """Stands for what is undefined, which would arrive as None."""

    def __str__(self) -> str:
        return _NOT_THERE


_undefined = _Undefined()


class _Method:
    """What `{}.items` is when nothing calls it."""

    def __init__(self, name: str) -> None:
        self._name = name

    def __str__(self) -> str:
        return f"<built-in method {self._name} of dict object>"


class _Members:
    """The methods of a mapping, which hide keys of the same name."""

    def __getitem__(self, name: str) -> _Method:
        return _Method(name)


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
        filters={
            "_json": _json,
            "_members": _members,
            "capitalize": lambda text: text.capitalize(),
            "center": lambda text, width=80: text.center(width),
            "float": _float,
            "e": _escape,
            "escape": _escape,
            "forceescape": lambda value: _escape(str.__str__(str(value))),
            "indent": _indent,
            "int": _int,
            "pprint": pprint.pformat,
            "truncate": _truncate,
            "title": _title,
            "trim": lambda text, chars=None: str(text).strip(chars),
            "wordcount": lambda text: len(re.findall(r"\w+", text)),
        },
        tests={"iterable": _iterable, "sequence": _sequence},
        finalizer=lambda value: repr(value) if isinstance(value, float) else NotImplemented,  # 1e-07, not 0.0000001
        globals={
            "_add": _add,
            "_loop_over_none": _loop_over_none,
            "_method": _method,
            "_undefined": _undefined,
            "raise_exception": _raise_exception,
            "strftime_now": _strftime_now,
        },
    )


def _method(value: Any, name: str, *arguments: Any, **named: Any) -> Any:
    """What a method of Python's text returns, or one that looks up in a list."""
    if isinstance(value, str) and name.isalpha() and name != "format":  # which looks into objects
        given = [tuple(item) if isinstance(item, list) else item for item in arguments]  # tuples arrive as lists
        return getattr(str, name)(str.__str__(value), *given, **named)
    if isinstance(value, list) and name in ("count", "index"):
        return getattr(list, name)(value, *arguments)
    raise ValueError(f"a template may not call {name} of {'nothing' if value is None else type(value).__name__}")


def _add(left: Any, right: Any) -> Any:
    if isinstance(left, str) and isinstance(right, str) and (_is_safe(left) or _is_safe(right)):
        return safe(str.__str__(_escape(left)) + str.__str__(_escape(right)))
    return left + right


def _is_safe(value: Any) -> bool:
    return hasattr(value, "__html__")


def _escape(value: Any) -> str:
    """As MarkupSafe escapes text, which `safe` has marked where it needs none."""
    text = html.escape(str(value)).replace("&quot;", "&#34;").replace("&#x27;", "&#39;")
    return value if _is_safe(value) else safe(text)


def _loop_over_none() -> None:
    raise TypeError("a loop over none")


def _members(value: Any) -> Any:
    if value is _undefined:
        raise ValueError("what is undefined has no members")
    return _Members() if isinstance(value, _Given) else value


def _json(
    text: str,
    ensure_ascii: bool = False,
    indent: int | str | None = None,
    separators: tuple[str, str] | None = None,
    sort_keys: bool = False,
) -> str:
    """The JSON that minijinja wrote, as Python writes it."""
    if isinstance(indent, int) and indent > 32:
        raise ValueError(f"tojson(indent={indent}): more than 32")
    value = json.loads(text)
    if value == _NOT_THERE:
        raise TypeError("tojson: the value is undefined")
    return json.dumps(value, ensure_ascii=ensure_ascii, indent=indent, separators=separators, sort_keys=sort_keys)


def _int(value: Any, default: Any = 0, base: int = 10) -> Any:
    if value is _undefined:
        raise TypeError("int: the value is undefined")
    try:
        return int(value, base) if isinstance(value, str) and base != 10 else int(value)
    except (TypeError, ValueError):
        try:
            return int(float(value))
        except (TypeError, ValueError, OverflowError):
            return default


def _float(value: Any, default: Any = 0.0) -> Any:
    if value is _undefined:
        raise TypeError("float: the value is undefined")
    try:
        return float(value)
    except (TypeError, ValueError):
        return default


def _indent(text: str, width: int | str = 4, first: bool = False, blank: bool = False) -> str:
    """Each line but the first, and but empty ones, further in; an end of line at the end stays."""
    space = width if isinstance(width, str) else " " * width
    lines = f"{text}\n".splitlines()
    rest = [space + line if line or blank else line for line in lines[1:]]
    return "\n".join([space + lines[0] if first else lines[0], *rest])


def _title(text: str) -> str:
    return "".join(part[:1].upper() + part[1:].lower() for part in re.split(r"([-\s({\[<]+)", text))


def _truncate(text: str, length: int = 255, killwords: bool = False, end: str = "...", leeway: int = 5) -> str:
    if len(text) <= length + leeway:
        return text
    start = text[: length - len(end)]
    return (start if killwords else start.rsplit(" ", 1)[0]) + end


def _iterable(value: Any) -> bool:
    return value is _undefined or hasattr(value, "__iter__")


def _sequence(value: Any) -> bool:
    """Text and mappings are sequences to Jinja, and so is what is undefined."""
    return value is _undefined or (hasattr(value, "__len__") and hasattr(value, "__getitem__"))


def _raise_exception(message: str) -> None:
    raise _Refused(message)


def _strftime_now(form: str) -> str:
    return datetime.now().strftime(form)


def _integer(digits: str) -> int:
    """Refuse what minijinja could only round."""
    if len(digits) > 20 or not -(2**63) <= int(digits) < 2**63:
        raise _Refused(f"an integer beyond 64 bits: {digits:.40}")
    return int(digits)


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
        try:
            request = json.loads(line, object_pairs_hook=_Given, parse_int=_integer)
        except _Refused as refused:
            answer = {"refused": str(refused)}
        else:
            _limit(request["seconds"])
            answer = reply(request)
        sys.stdout.buffer.write(json.dumps(answer).encode() + b"\n")
        sys.stdout.buffer.flush()


if __name__ == "__main__":
    main()
