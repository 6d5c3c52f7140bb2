"""A row of named values becomes a record: one column is its text, others are kept as text in its meta."""

from __future__ import annotations

import json
from collections.abc import Collection, Mapping
from typing import Any

from wenlu.corpus.chats import COLUMNS, conversation, conversation_in, to_openai, transcript
from wenlu.corpus.pairs import OPENAI, Columns, pair
from wenlu.corpus.pictures.reference import DIGEST, PICTURE, Embedded
from wenlu.corpus.record import Drop, Record
from wenlu.corpus.source import Bad, SourceSpec
from wenlu.errors import DataError

AUTO = "auto"


def to_record(row: Mapping[str, Any], id: str, spec: SourceSpec) -> Record | Drop | Bad:
    """The record of one row; a row without text is dropped, one whose text is something else is bad."""
    if spec.id and row.get(spec.id) is not None:
        id = _as_text(row[spec.id]).encode(errors="replace").decode()
    if spec.image and not isinstance(shown := row.get(spec.image), str | Embedded):
        if shown is None:
            return Drop(Record("", id), "source", "no picture")
        return Bad(id, "not a picture", f"{spec.image!r} holds {_short(shown)}, not the path or the bytes of a picture")
    if spec.pairs:
        return _pair(row, id, spec)
    if spec.chats and not _asks_once(row, spec):
        return _conversation(row, id, spec)
    value = row.get(spec.text)
    match value:
        case str():
            text = value
        case Embedded() if spec.text == spec.image:  # asked about the picture alone
            text = str(value)
        case _ if spec.turns and value is not None:
            text = _as_text(value)
        case list() | tuple() if all(isinstance(part, str) for part in value):
            text = "\n".join(value)
        case None if spec.text in row:
            return Drop(Record("", id), "source", "no text")
        case None:
            return Bad(id, "column missing", f"no {spec.text!r} in it; it has {', '.join(map(repr, row))}")
        case _:
            return Bad(id, "not text", f"{spec.text!r} holds {_short(value)}, not a string or a list of strings")
    return Record(text, id, _meta(row, spec))


def wanted_columns(spec: SourceSpec, found: Collection[str]) -> list[str]:
    """The columns that records are made of, of those that a file has."""
    id = [name for name in (spec.id, spec.image) if name in found]
    if spec.pairs:
        return list(dict.fromkeys([*(name for name in (*spec.pairs, *OPENAI) if name in found), *spec.meta, *id]))
    if not spec.chats:
        return list(dict.fromkeys([spec.text, *spec.meta, *id]))
    chats = (*COLUMNS, "text") if spec.chats == AUTO else (spec.chats,)
    return list(dict.fromkeys([*(name for name in chats if name in found), *spec.meta, *id]))


def require_columns(found: Collection[str], spec: SourceSpec, where: str, *, meta: bool = True) -> None:
    """Refuse a file without the columns that the settings name; a row that is no conversation says so itself."""
    if spec.pairs:
        for name in () if OPENAI[1] in found else spec.pairs[1:]:
            require_column(name, found, setting="pairs", where=where)
    elif not spec.chats:
        require_column(spec.text, found, setting="turns" if spec.turns else "text", where=where)
    elif spec.chats != AUTO:
        require_column(spec.chats, found, setting="chats", where=where)
    if spec.image:
        require_column(spec.image, found, setting="image", where=where)
    for name in spec.meta if meta else ():
        require_column(name, found, setting=spec.setting_of(name), where=where)


def require_column(name: str, found: Collection[str], *, setting: str, where: str) -> None:
    """Refuse a file without the column that `setting` names; raises DataError with the columns that there are."""
    if name not in found:
        raise DataError(
            f"{where}: no column {name!r}; its columns are {', '.join(map(repr, found)) or 'none'}. "
            f"Name one of them in {setting!r} of this source"
        )


def _conversation(row: Mapping[str, Any], id: str, spec: SourceSpec) -> Record | Bad:
    try:
        if spec.chats == AUTO:
            name, turns = "messages", conversation(row)
        else:
            name, turns = spec.chats, conversation_in(row.get(spec.chats), spec.chats)
    except DataError as error:
        return Bad(id, "no conversation", str(error))
    return Record(transcript(turns), id, {**_meta(row, spec), name: _as_text(to_openai(turns))})


def _pair(row: Mapping[str, Any], id: str, spec: SourceSpec) -> Record | Bad:
    columns = Columns(*spec.pairs)
    try:
        found = pair(row, columns)
    except DataError as error:
        return Bad(id, "no pair of answers", str(error))
    told = dict(zip(spec.pairs, (_as_text(to_openai(found.prompt)), found.chosen, found.rejected), strict=True))
    return Record(found.transcript, id, {**_meta(row, spec), **told})


def _asks_once(row: Mapping[str, Any], spec: SourceSpec) -> bool:
    """Whether a row has a text and no turns: a single question."""
    return spec.chats == AUTO and isinstance(row.get(spec.text), str) and not any(name in row for name in COLUMNS[:3])


def _meta(row: Mapping[str, Any], spec: SourceSpec) -> dict[str, str]:
    meta = {name: _as_text(row[name]) for name in spec.meta if row.get(name) is not None}
    match row.get(spec.image) if spec.image else None:
        case str(path):
            meta[PICTURE] = path
        case Embedded() as cell:
            meta |= {PICTURE: str(cell), DIGEST: cell.sha256}
    return meta


def _as_text(value: Any) -> str:
    return value if isinstance(value, str) else json.dumps(value, ensure_ascii=False, default=str)


def _short(value: Any) -> str:
    text = _as_text(value)
    return f"{type(value).__name__} {text[:60]}{'…' if len(text) > 60 else ''}"
