"""A row of named values becomes a record: one column is its text, others are kept as text in its meta."""

from __future__ import annotations

import json
from collections.abc import Collection, Mapping
from typing import Any

from wenlu.corpus.record import Drop, Record
from wenlu.corpus.source import Bad, SourceSpec
from wenlu.errors import DataError


def to_record(row: Mapping[str, Any], id: str, spec: SourceSpec) -> Record | Drop | Bad:
    """The record of one row; a row without text is dropped, one whose text is something else is bad."""
    value = row.get(spec.text)
    if spec.id and row.get(spec.id) is not None:
        id = _as_text(row[spec.id]).encode(errors="replace").decode()
    match value:
        case str():
            text = value
        case list() | tuple() if all(isinstance(part, str) for part in value):
            text = "\n".join(value)
        case None if spec.text in row:
            return Drop(Record("", id), "source", "no text")
        case None:
            return Bad(id, "column missing", f"no {spec.text!r} in it; it has {', '.join(map(repr, row))}")
        case _:
            return Bad(id, "not text", f"{spec.text!r} holds {_short(value)}, not a string or a list of strings")
    meta = {name: _as_text(row[name]) for name in spec.meta if row.get(name) is not None}
    return Record(text, id, meta)


def needed_columns(spec: SourceSpec, found: Collection[str]) -> list[str]:
    """What is read of a file that has the columns `found`."""
    return list(dict.fromkeys([spec.text, *spec.meta, *([spec.id] if spec.id in found else [])]))


def require_column(name: str, found: Collection[str], *, setting: str, where: str) -> None:
    """Refuse a file without the column that `setting` names; raises DataError with the columns that there are."""
    if name not in found:
        raise DataError(
            f"{where}: no column {name!r}; its columns are {', '.join(map(repr, found)) or 'none'}. "
            f"Name one of them in {setting!r} of this source"
        )


def _as_text(value: Any) -> str:
    return value if isinstance(value, str) else json.dumps(value, ensure_ascii=False, default=str)


def _short(value: Any) -> str:
    text = _as_text(value)
    return f"{type(value).__name__} {text[:60]}{'…' if len(text) > 60 else ''}"
