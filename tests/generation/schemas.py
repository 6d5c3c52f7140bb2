"""Random JSON Schemas, and a reading of them that owes nothing to the library under test."""

from __future__ import annotations

import random
import re
from typing import Any

WORDS = ("name", "age", "城市", "ok", "🙂", "a b")


def some_schema(chance: random.Random, depth: int = 3) -> dict[str, Any]:
    """A schema whose values are short."""
    kinds = [_string, _integer, _number, _enum, _const, _boolean, _null]
    if depth:
        kinds += [_array, _object, _object, _any_of, _referred]
    return chance.choice(kinds)(chance, depth)


def _string(chance: random.Random, depth: int) -> dict[str, Any]:
    least = chance.randrange(3)
    return chance.choice(
        [
            {"type": "string", "minLength": least, "maxLength": least + chance.randrange(4)},
            {"type": "string", "pattern": chance.choice(["^[a-c]{2,4}$", "^(天|地|人)+x$", "^[0-9]{4}-[01][0-9]$"])},
        ]
    )


def _integer(chance: random.Random, depth: int) -> dict[str, Any]:
    least = chance.randrange(-50, 50)
    return {"type": "integer", "minimum": least, "maximum": least + chance.randrange(200)}


def _number(chance: random.Random, depth: int) -> dict[str, Any]:
    least = chance.randrange(-5, 5)
    return {"type": "number", "exclusiveMinimum": least, "maximum": least + 1 + chance.randrange(9)}


def _enum(chance: random.Random, depth: int) -> dict[str, Any]:
    return {"enum": chance.sample([*WORDS, 1, -2.5, None, True, ["x"], {"k": 0}], chance.randint(1, 4))}


def _const(chance: random.Random, depth: int) -> dict[str, Any]:
    return {"const": chance.choice([*WORDS, 7, False])}


def _boolean(chance: random.Random, depth: int) -> dict[str, Any]:
    return {"type": "boolean"}


def _null(chance: random.Random, depth: int) -> dict[str, Any]:
    return {"type": "null"}


def _array(chance: random.Random, depth: int) -> dict[str, Any]:
    least = chance.randrange(2)
    items = some_schema(chance, depth - 1)
    return {"type": "array", "items": items, "minItems": least, "maxItems": least + chance.randrange(3)}


def _object(chance: random.Random, depth: int) -> dict[str, Any]:
    names = chance.sample(WORDS, chance.randint(1, 3))
    return {
        "type": "object",
        "properties": {name: some_schema(chance, depth - 1) for name in names},
        "required": chance.sample(names, chance.randint(0, len(names))),
        "additionalProperties": False,
    }


def _any_of(chance: random.Random, depth: int) -> dict[str, Any]:
    return {"anyOf": [some_schema(chance, depth - 1) for _ in range(2)]}


def _referred(chance: random.Random, depth: int) -> dict[str, Any]:
    properties = {"a": {"$ref": "#/$defs/part"}, "b": {"$ref": "#/$defs/part"}}
    # `$defs` belongs to the whole schema, so the parts of this one are written out where it is not the whole.
    part = some_schema(chance, 0)
    if depth == 3:
        return {"type": "object", "properties": properties, "additionalProperties": False, "$defs": {"part": part}}
    return {"type": "object", "properties": dict.fromkeys(properties, part), "additionalProperties": False}


def allows(schema: dict[str, Any], value: Any, whole: dict[str, Any] | None = None) -> bool:
    """Whether `value` is valid by JSON Schema 2020-12, as far as `some_schema` uses it; an unknown keyword fails."""
    whole = whole or schema
    for keyword, told in schema.items():
        if keyword == "$ref":
            good = allows(whole["$defs"][told.rpartition("/")[2]], value, whole)
        elif keyword == "items":
            good = all(allows(told, item, whole) for item in value)
        elif keyword == "properties":
            good = all(allows(told[name], item, whole) for name, item in value.items() if name in told)
        elif keyword == "additionalProperties":
            good = set(value) <= set(schema["properties"])
        elif keyword == "anyOf":
            good = any(allows(each, value, whole) for each in told)
        else:
            good = keyword == "$defs" or _KEYWORDS[keyword](told, value)
        if not good:
            return False
    return True


def _same(a: Any, b: Any) -> bool:
    """Equality of JSON, in which true is not 1."""
    return a == b and isinstance(a, bool) == isinstance(b, bool)


def _is(kind: str, value: Any) -> bool:
    is_number = isinstance(value, int | float) and not isinstance(value, bool)
    match kind:
        case "integer":
            return is_number and value == int(value)
        case "number":
            return is_number
        case "string":
            return isinstance(value, str)
        case "boolean":
            return isinstance(value, bool)
        case "null":
            return value is None
        case "array":
            return isinstance(value, list)
    return kind == "object" and isinstance(value, dict)


_KEYWORDS: dict[str, Any] = {
    "type": _is,
    "enum": lambda told, value: any(_same(value, each) for each in told),
    "const": lambda told, value: _same(value, told),
    "minLength": lambda told, value: len(value) >= told,
    "maxLength": lambda told, value: len(value) <= told,
    "pattern": lambda told, value: re.search(told, value) is not None,
    "minimum": lambda told, value: value >= told,
    "exclusiveMinimum": lambda told, value: value > told,
    "maximum": lambda told, value: value <= told,
    "minItems": lambda told, value: len(value) >= told,
    "maxItems": lambda told, value: len(value) <= told,
    "required": lambda told, value: set(told) <= set(value),
}
