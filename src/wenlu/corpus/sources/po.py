"""Translations of programs: gettext catalogues (.po), entry by entry.

An entry is a row of the columns `text` and `source` (its msgid), `target` (its msgstr; of plurals the first),
`source_language`, `target_language` and `context` (its msgctxt). What is fuzzy, obsolete or untranslated is dropped.
The target language is what the header says; the source language, of which a catalogue says nothing, is what
`languages` says.
"""

from __future__ import annotations

import codecs
import re
from collections.abc import Iterator

from wenlu.corpus.columns import to_record
from wenlu.corpus.language_pair import is_language, pair_row, require_pair_columns
from wenlu.corpus.po_entries import Entry, entries
from wenlu.corpus.reading import decode, line_encoding, lines, open_bytes, open_text_bytes, refuse_nul
from wenlu.corpus.record import Drop, Record
from wenlu.corpus.source import Bad, FileKind, Read, SourceFile, SourceSpec
from wenlu.errors import DataError

_HEAD = 1 << 16
_CHARSET = re.compile(rb'^"Content-Type:[^"]*charset=([A-Za-z0-9_.:\-]+)', re.M | re.I)
_NO_ENCODING = ("idna", "punycode", "undefined", "unicode-escape", "raw-unicode-escape", "utf-7")
"""What Python calls so without being an encoding of files."""
_LANGUAGE = re.compile(r"^Language:[ \t]*([A-Za-z0-9_@.\-]+)", re.M | re.I)


def _read(file: SourceFile, spec: SourceSpec) -> Iterator[Read]:
    require_pair_columns(file, spec, ("context",))
    source_language, target_language = spec.languages or ("", "")
    for entry in entries(_lines(file, spec), spec.max_record_bytes):
        id = f"{file.id}:{entry.line}"
        if entry.problem:
            yield Bad(id, "malformed entry", entry.problem)
        elif entry.fields["msgid"] == "" and "msgctxt" not in entry.fields:
            said = _LANGUAGE.search(entry.fields["msgstr"])
            if said and spec.languages and not is_language(said[1], target_language):
                raise DataError(
                    f"{file.path}, line {entry.line}: a translation to {said[1]}, not to {target_language} "
                    f"as languages = {list(spec.languages)} says; leave the file out or correct its header"
                )
            target_language = said[1] if said else target_language
        elif reason := _refusal(entry):
            yield Drop(Record("", id), "source", reason)
        else:
            row = pair_row((source_language, entry.fields["msgid"]), (target_language, entry.fields["msgstr"]))
            yield to_record({**row, "context": entry.fields.get("msgctxt")}, id, spec)


def _refusal(entry: Entry) -> str:
    if entry.obsolete:
        return "obsolete"
    if entry.fuzzy:
        return "fuzzy"
    return "" if entry.fields["msgstr"].strip() else "untranslated"


def _lines(file: SourceFile, spec: SourceSpec) -> Iterator[tuple[int, str]]:
    encoding = _encoding(file, spec)
    with open_text_bytes(file.path, encoding) as stream:
        for line in lines(stream, spec.max_record_bytes):
            if line.data is None:
                raise DataError(
                    f"{file.path}, line {line.number}: longer than max_record_bytes = {spec.max_record_bytes}; "
                    "raise it, or is this a PO file?"
                )
            refuse_nul(line.data, path=file.path, line=line.number, offset=line.offset)
            yield (
                line.number,
                decode(line.data, line_encoding(encoding), path=file.path, line=line.number, offset=line.offset),
            )


def _encoding(file: SourceFile, spec: SourceSpec) -> str:
    """What the header declares; else the `encoding` setting."""
    with open_bytes(file.path) as stream:
        declared = _CHARSET.search(stream.read(_HEAD))
    if declared is None or declared[1] == b"CHARSET":  # what a template says before it is filled in
        return spec.encoding
    name = declared[1].decode("ascii")
    try:
        known = codecs.lookup(name).name.replace("_", "-") not in _NO_ENCODING and bool("a".encode(name))
    except LookupError:
        known = False
    if not known:
        raise DataError(f"{file.path}: declares the encoding {name!r}, which does not exist; correct its header")
    return name


KIND = FileKind("po", (".po",), _read, columnar=True)
