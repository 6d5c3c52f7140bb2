"""Python source: a module a record, decoded as PEP 263 says; `group` in its meta is the module's dotted path."""

from __future__ import annotations

import io
import tokenize
from collections.abc import Iterator

from wenlu.corpus.reading import decode, open_bytes, refuse_nul
from wenlu.corpus.record import Drop, Record
from wenlu.corpus.source import FileKind, Read, SourceFile, SourceSpec
from wenlu.errors import DataError


def _read(file: SourceFile, spec: SourceSpec) -> Iterator[Read]:
    with open_bytes(file.path) as stream:
        data = stream.read(spec.max_record_bytes + 1)
    if len(data) > spec.max_record_bytes:
        yield Drop(Record("", file.id), "source", "record too large")
        return
    refuse_nul(data, path=file.path, line=1, offset=0)
    try:
        encoding, _ = tokenize.detect_encoding(io.BytesIO(data).readline)
    except SyntaxError as error:
        raise DataError(f"{file.path}: {error.msg}; correct its coding line (PEP 263) or leave the file out") from error
    text = decode(data, encoding, path=file.path, line=1, offset=0).replace("\r\n", "\n").replace("\r", "\n")
    yield Record(text, file.id, {"group": _module(file)})


def _module(file: SourceFile) -> str:
    """`json/decoder.py` is `json.decoder`, `json/__init__.py` is `json`."""
    parts = list(file.relative.with_name(file.relative.name.partition(".py")[0]).parts)
    return ".".join(parts[:-1] if parts[-1] == "__init__" and len(parts) > 1 else parts)


def _one(spec: SourceSpec) -> bool:  # noqa: ARG001 (a module is a record under any settings)
    return True


KIND = FileKind("python", (".py", ".pyi"), _read, one_record=_one)
