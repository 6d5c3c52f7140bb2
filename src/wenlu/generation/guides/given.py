"""What settings say of an answer's form: itself, or the file that it stands in. The text is what settings keep."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

MOST_BYTES = 64 * 1024
MOST_DEPTH = 32
MOST_NODES = 5000
MOST_REGEX = 4096
MOST_CHOICES = 4096
_GRAMMAR = re.compile(r"(^|\n)\s*start\s*:")


def schema_text(given: Any) -> Any:
    """JSON of a schema that is given as a table, as JSON or as a FILE; raises ValueError for what is none."""
    if given is None or isinstance(given, dict | bool):
        return None if given is None else _checked(given)
    if not isinstance(given, str):
        raise ValueError(f"a JSON Schema, or a FILE of one, is expected, not {given!r:.80}")
    source = "it"
    if not given.lstrip().startswith("{") and given.strip() not in ("true", "false"):
        given, source = _read(given, 'the schema itself: json_schema={type="object"}'), given
    try:
        schema = json.loads(given)
    except (json.JSONDecodeError, RecursionError) as error:
        raise ValueError(f"{source} is not valid JSON: {error}") from error
    return _checked(schema)


def has_start(grammar: str) -> bool:
    """Whether a text is a grammar, rather than the name of a file."""
    return _GRAMMAR.search(grammar) is not None


def grammar_text(given: Any) -> Any:
    """A grammar that is given as such or as a FILE; raises ValueError for what is none."""
    if not isinstance(given, str):
        return given
    text = given if has_start(given) else _read(given, "the grammar itself, with a rule `start: …`")
    if not has_start(text):
        raise ValueError(f"{given}: has no rule `start: …`, at which an answer begins")
    if len(text.encode()) > MOST_BYTES:
        raise ValueError(f"the grammar has {len(text.encode()):,} bytes; at most {MOST_BYTES:,} are read")
    return text


def _read(name: str, other: str) -> str:
    try:
        with Path(name).expanduser().open(encoding="utf-8-sig") as file:
            return file.read(MOST_BYTES + 1)
    except (OSError, ValueError) as error:
        reason = error.strerror if isinstance(error, OSError) and error.strerror else "not UTF-8 text"
        raise ValueError(f"{name!r:.80}: {reason.lower()}; give a FILE, or {other}") from error


def _checked(schema: Any) -> str:
    if not isinstance(schema, dict | bool):
        raise ValueError(f"a schema is an object of JSON, not {json.dumps(schema):.80}")
    if schema is False:
        raise ValueError("false allows nothing at all; true allows any JSON")
    if schema is True:
        schema = {}
    nodes, level = 0, [schema]
    for _ in range(MOST_DEPTH + 1):
        nodes += len(level)
        level = [child for node in level for child in _children(node)]
        if nodes + len(level) > MOST_NODES:
            raise ValueError(f"the schema has more than {MOST_NODES:,} values; make it smaller")
    if level:
        raise ValueError(f"the schema is more than {MOST_DEPTH} levels deep; move its parts to $defs")
    text = json.dumps(schema, ensure_ascii=False)
    if len(text.encode()) > MOST_BYTES:
        raise ValueError(f"the schema has {len(text.encode()):,} bytes; at most {MOST_BYTES:,} are read")
    return text


def _children(node: Any) -> list[Any]:
    match node:
        case dict():
            return list(node.values())
        case list():
            return node
        case _:
            return []
