"""JSON Lines: an object a line. A malformed line is set aside with its number, within the source's budget."""

from __future__ import annotations

import json
from collections.abc import Iterator

from wenlu.corpus.columns import require_column, require_columns, to_record
from wenlu.corpus.json_window import unique_keys
from wenlu.corpus.reading import decode, line_encoding, lines, open_text_bytes
from wenlu.corpus.source import Bad, FileKind, Read, SourceFile, SourceSpec


def _read(file: SourceFile, spec: SourceSpec) -> Iterator[Read]:
    encoding = line_encoding(spec.encoding)
    columns: dict[str, None] = {}  # in the order of their first appearance
    with open_text_bytes(file.path, spec.encoding) as stream:
        for line in lines(stream, spec.max_record_bytes):
            id = f"{file.id}:{line.number}"
            if line.data is None:
                yield Bad(id, "record too large", f"longer than max_record_bytes = {spec.max_record_bytes}")
                continue
            text = decode(line.data, encoding, path=file.path, line=line.number, offset=line.offset)
            if not text.strip():
                continue
            try:
                row = json.loads(text, object_pairs_hook=unique_keys)
            except (ValueError, RecursionError) as error:
                yield Bad(id, "malformed JSON", str(error))
                continue
            if not isinstance(row, dict):
                yield Bad(id, "not an object", f"a line holds one object, not {text.strip()[:60]}")
                continue
            if not columns:
                require_columns(row, spec, f"{file.path}, line {line.number}", meta=False)
            columns.update(dict.fromkeys(row))
            yield to_record(row, id, spec)
    if columns:
        for name in spec.meta:
            require_column(name, columns, setting=spec.setting_of(name), where=str(file.path))


KIND = FileKind("jsonl", (".jsonl", ".ndjson"), _read, columnar=True)
