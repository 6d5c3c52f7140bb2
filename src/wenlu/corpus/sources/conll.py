"""Tagged tokens in columns, as in CoNLL-2003 (Tjong Kim Sang & De Meulder 2003, https://aclanthology.org/W03-0419).

A token a line, its last column the tag, an empty line between sentences. A sentence is a row of the columns `text` (the
tokens joined), `tokens`, `tags`, `offsets` (where each token stands in the text), `column_0`, `column_1`, … and
`document`: the line that begins its document, `-DOCSTART-`, as an id that no other file has.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Any

from wenlu.corpus.annotated_lines import blocks
from wenlu.corpus.columns import require_column, to_record
from wenlu.corpus.source import Bad, FileKind, Read, SourceFile, SourceSpec
from wenlu.corpus.token_text import join_tokens

_DOCUMENT = "-DOCSTART-"


def _read(file: SourceFile, spec: SourceSpec) -> Iterator[Read]:
    width = 0
    document = f"{file.id}:1"
    for block in blocks(file, spec):
        if isinstance(block, Bad):
            yield block
            continue
        rows = [(number, _cells(line, spec)) for number, line in block.lines]
        for number, cells in rows:
            if cells[0] == _DOCUMENT:
                document = f"{file.id}:{number}"
        rows = [(number, cells) for number, cells in rows if cells[0] != _DOCUMENT]
        if not rows:
            continue
        id = f"{file.id}:{rows[0][0]}"
        wrong = _wrong(rows, width, id)
        if wrong:
            yield wrong
            continue
        row = _row([cells for _, cells in rows], document)
        if not width:
            width = len(rows[0][1])
            for setting, name in (("text", spec.text), *((spec.setting_of(name), name) for name in spec.meta)):
                require_column(name, row, setting=setting, where=f"{file.path}, line {block.first}")
        yield to_record(row, id, spec)


def _cells(line: str, spec: SourceSpec) -> list[str]:
    """The columns; a line with a tab is parted by tabs alone, as its tokens may hold blanks."""
    if spec.delimiter != "auto":
        return line.split(spec.delimiter)
    return re.split(r" *\t[ \t]*" if "\t" in line else " +", line.strip(" \t"))


def _wrong(rows: list[tuple[int, list[str]]], width: int, id: str) -> Bad | None:
    """The first line that has another number of columns than the first good sentence of the file."""
    width = width or len(rows[0][1])
    if width == 1:
        return Bad(id, "no tag", f"line {rows[0][0]} has one column, and a token needs a tag beside it")
    for number, cells in rows:
        if len(cells) != width:
            return Bad(id, "wrong number of columns", f"line {number} has {len(cells)} of {width} columns")
        if not all(cells):
            return Bad(id, "empty column", f"column {cells.index('')} of line {number} is empty")
    return None


def _row(rows: list[list[str]], document: str) -> dict[str, Any]:
    columns = [list(column) for column in zip(*rows, strict=True)]
    text, offsets = join_tokens(columns[0])
    named = {f"column_{i}": column for i, column in enumerate(columns)}
    return {
        "text": text,
        "tokens": columns[0],
        "tags": columns[-1],
        "offsets": offsets,
        **named,
        "document": document,
    }


KIND = FileKind("conll", (".conll", ".iob", ".bio"), _read, columnar=True)
