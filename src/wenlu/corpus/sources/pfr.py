"""Chinese text with words and their parts of speech, as in the People's Daily corpus of Peking University (PFR).

Yu et al. (2002): Basic specification of Peking University's corpus of contemporary Chinese, 中文信息学报 16 (5 and 6).
A paragraph a line, its words parted by blanks, each followed by its tag: `中国/ns 成立/v`. A name of several
words may stand in brackets with a tag of its own, `[北京/ns 大学/n]nt`, and a line may begin with its place in the
newspaper, `19980101-01-001-001/m`. A line is a row of the columns `text` (as it was printed), `words` (with a blank
between two words), `tokens`, `tags`, `entities` (persons, places and organisations by their characters) and `document`.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from itertools import accumulate
from typing import Any

from wenlu.corpus.annotated_lines import numbered_lines
from wenlu.corpus.columns import require_columns, to_record
from wenlu.corpus.source import Bad, FileKind, Read, SourceFile, SourceSpec

ENTITIES = {"nr": "person", "ns": "place", "nt": "organisation"}
_PLACE = re.compile(r"(\d{8}-\d\d-\d{3})-\d{3}/m")
_WORD = re.compile(r"(\[?)(.+)/([A-Za-z]+)(?:\]([A-Za-z]+))?", re.DOTALL)

Part = tuple[int, int, str]
"""First word, the one after the last, and a tag."""


def _read(file: SourceFile, spec: SourceSpec) -> Iterator[Read]:
    is_first = True
    for item in numbered_lines(file, spec):
        if isinstance(item, Bad):
            yield item
            continue
        number, line = item
        words = line.split()
        if not words:
            continue
        id = f"{file.id}:{number}"
        row = _row(words, file)
        if isinstance(row, str):
            yield Bad(id, "no word with its tag", f"{row[:40]!r} is not a word, a slash and a tag: 中国/ns")
            continue
        if is_first:
            require_columns(row, spec, f"{file.path}, line {number}")
            is_first = False
        yield to_record(row, id, spec)


def _row(words: list[str], file: SourceFile) -> dict[str, Any] | str:
    """The columns of a line, or what in it is no word with a tag."""
    place = _PLACE.fullmatch(words[0])
    tokens: list[str] = []
    tags: list[str] = []
    compounds: list[Part] = []
    opened = None
    for word in words[1:] if place else words:
        found = _WORD.fullmatch(word)
        if found is None:
            return word
        opened = len(tokens) if found[1] else opened
        tokens.append(found[2])
        tags.append(found[3])
        if found[4] and opened is not None:
            compounds.append((opened, len(tokens), found[4]))
            opened = None
    starts = [0, *accumulate(len(token) for token in tokens)]
    return {
        "text": "".join(tokens),
        "words": " ".join(tokens),
        "tokens": tokens,
        "tags": tags,
        "entities": [
            {"start": starts[first], "end": starts[end], "label": ENTITIES[tag]}
            for first, end, tag in sorted([*compounds, *_simple(tokens, tags, compounds)])
            if tag in ENTITIES
        ],
        "document": f"{file.id}:{place[1]}" if place else file.id,
    }


def _simple(tokens: list[str], tags: list[str], compounds: list[Part]) -> Iterator[Part]:
    """Words that are tagged as a name and not part of a longer one. Family and given name are two words there, so of
    two persons side by side the first is a family name where it is one character, or where no third follows."""
    inside = {word for first, end, tag in compounds if tag in ENTITIES for word in range(first, end)}
    first = 0
    while first < len(tokens):
        end = first + 1
        if tags[first] == "nr":
            run = first
            while run < len(tokens) and tags[run] == "nr":
                run += 1
            end += run - first == 2 or (run - first > 2 and len(tokens[first]) == 1)
        if first not in inside:
            yield first, end, tags[first]
        first = end


KIND = FileKind("pfr", (), _read, columnar=True)
