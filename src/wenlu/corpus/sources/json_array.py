"""JSON: a list of objects (or of strings), one object, or objects one after another; read piece by piece."""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from typing import Any

from wenlu.corpus.columns import require_column, require_columns, to_record
from wenlu.corpus.json_window import JsonWindow
from wenlu.corpus.reading import open_text
from wenlu.corpus.record import Record
from wenlu.corpus.source import Bad, FileKind, Read, SourceFile, SourceSpec


def _read(file: SourceFile, spec: SourceSpec) -> Iterator[Read]:
    columns: dict[str, None] = {}  # in the order of their first appearance
    path = spec.within.split(".") if spec.within else []
    with open_text(file.path, spec.encoding) as stream:
        values = JsonWindow(stream, file, spec).values()
        rows = (row for value in values for row in _descend(value, path, file))
        for number, row in enumerate(rows, start=1):
            id = f"{file.id}:{number}"
            if isinstance(row, str):
                yield Record(row, id)
            elif isinstance(row, dict):
                if not columns:
                    require_columns(row, spec, f"{file.path}, record {number}", meta=False)
                columns.update(dict.fromkeys(row))
                yield to_record(row, id, spec)
            else:
                yield Bad(
                    id, "not an object", f"{json.dumps(row, ensure_ascii=False)[:60]} is neither object nor string"
                )
    if columns:
        for name in spec.meta:
            require_column(name, columns, setting=spec.setting_of(name), where=str(file.path))


def _descend(value: Any, path: Sequence[str], file: SourceFile) -> Iterator[Any]:
    """Follow the keys of `within`, through each element of the lists on the way."""
    if path and isinstance(value, list):
        for element in value:
            yield from _descend(element, path, file)
    elif path:
        columns = value if isinstance(value, dict) else ()
        require_column(path[0], columns, setting="within", where=str(file.path))
        yield from _descend(value[path[0]], path[1:], file)
    elif isinstance(value, list):
        yield from value
    else:
        yield value


KIND = FileKind("json", (".json",), _read, columnar=True)
