"""CoNLL-U, the format of Universal Dependencies (https://universaldependencies.org/format.html).

A sentence is a row of the columns `text`, `tokens`, `lemmas`, `upos`, `xpos`, `feats`, `heads`, `deprels`, `offsets`,
`sent_id` and `document`. The tokens are its syntactic words, not its multi-word tokens (`1-2`) or empty nodes (`1.1`).
`heads` counts from 1, 0 is the root and null is none; other values stand as in the file, `_` for those that there are
not. `offsets` says where each word stands in the text, and is null where the text is not made of the tokens. The words
of a multi-word token have places of their own where they make it up (`do` + `n't`), and otherwise share its place.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass, field
from itertools import groupby
from typing import Any

from wenlu.corpus.annotated_lines import Block, blocks
from wenlu.corpus.columns import require_column, to_record
from wenlu.corpus.source import Bad, FileKind, Read, SourceFile, SourceSpec
from wenlu.corpus.token_text import Span, find_tokens, join_tokens

_COLUMNS = 10
_RANGE = re.compile(r"([1-9][0-9]{0,8})-([1-9][0-9]{0,8})")
_EMPTY_NODE = re.compile(r"[0-9]+\.[1-9][0-9]*")
_NAMES = (
    *("text", "tokens", "lemmas", "upos", "xpos", "feats", "heads", "deprels"),
    *("offsets", "sent_id", "document"),
)


@dataclass
class _Sentence:
    """What the lines of one sentence said.

    Attributes:
        surface: as it is written: multi-word tokens in place of their words.
        owner: for each word, its place in `surface`.
        glued: for each of `surface`, whether it is marked SpaceAfter=No.
    """

    words: list[list[str]] = field(default_factory=list)
    heads: list[int | None] = field(default_factory=list)
    surface: list[str] = field(default_factory=list)
    owner: list[int] = field(default_factory=list)
    glued: list[bool] = field(default_factory=list)
    comments: dict[str, str] = field(default_factory=dict)


def _read(file: SourceFile, spec: SourceSpec) -> Iterator[Read]:
    for setting, name in (("text", spec.text), *((spec.setting_of(name), name) for name in spec.meta)):
        require_column(name, _NAMES, setting=setting, where=str(file.path))
    document = f"{file.id}:1"
    for block in blocks(file, spec):
        if isinstance(block, Bad):
            yield block
            continue
        id = f"{file.id}:{block.first}"
        try:
            sentence = _parse(block)
        except ValueError as error:
            yield Bad(id, "malformed CoNLL-U", str(error))
            continue
        if "newdoc" in sentence.comments or "newdoc id" in sentence.comments:
            document = id
        if sentence.words:
            yield to_record({**_row(sentence), "document": document}, id, spec)


def _parse(block: Block) -> _Sentence:
    """Raises ValueError that names the line."""
    sentence = _Sentence()
    covered = 0  # the last word of the multi-word token that is open
    for number, line in block.lines:
        if line.startswith("#"):
            name, _, value = line[1:].partition("=")
            sentence.comments[name.strip()] = value.strip()
            continue
        cells = line.split("\t")
        if len(cells) != _COLUMNS:
            raise ValueError(f"line {number} has {len(cells)} columns parted by tabs, not {_COLUMNS}")
        if not all(cells):
            raise ValueError(f"column {cells.index('') + 1} of line {number} is empty; write _ where there is nothing")
        due = len(sentence.words) + 1
        if _EMPTY_NODE.fullmatch(cells[0]):
            continue
        if over := _RANGE.fullmatch(cells[0]):
            if int(over[1]) != due or int(over[2]) < due or covered >= due:
                raise ValueError(f"line {number}: the range {cells[0]} does not begin at the next word, {due}")
            covered = int(over[2])
            _write(sentence, cells)
            continue
        if cells[0] != str(due):
            raise ValueError(f"line {number}: the word is numbered {cells[0][:20]!r} where {due} is due")
        if covered < due:
            _write(sentence, cells)
        sentence.words.append(cells)
        sentence.owner.append(len(sentence.surface) - 1)
        sentence.heads.append(_head(cells[6], number))
    last = len(sentence.words)
    if covered > last:
        raise ValueError(f"line {block.lines[-1][0]}: a range goes on to word {covered}, past the last, {last}")
    far = next((head for head in sentence.heads if head is not None and head > last), None)
    if far is not None:
        raise ValueError(f"in the sentence of line {block.first} a head is word {far}, past the last, {last}")
    return sentence


def _write(sentence: _Sentence, cells: list[str]) -> None:
    sentence.surface.append(cells[1])
    sentence.glued.append("SpaceAfter=No" in cells[9].split("|"))


def _head(cell: str, number: int) -> int | None:
    if cell == "_":
        return None
    if not re.fullmatch("[0-9]{1,9}", cell):
        raise ValueError(f"line {number}: the head {cell[:20]!r} is not the number of a word")
    return int(cell)


def _row(sentence: _Sentence) -> dict[str, Any]:
    # A sentence without any mark comes from a writer that does not know them.
    joined, spans = join_tokens(sentence.surface, sentence.glued if any(sentence.glued) else ())
    text = sentence.comments.get("text") or joined
    places: list[Span] | None = spans if text == joined else find_tokens(sentence.surface, text)
    tokens = [cells[1] for cells in sentence.words]
    return {
        "text": text,
        "tokens": tokens,
        **{
            name: [cells[i] for cells in sentence.words]
            for i, name in ((2, "lemmas"), (3, "upos"), (4, "xpos"), (5, "feats"), (7, "deprels"))
        },
        "heads": sentence.heads,
        "offsets": None if places is None else _of_words(sentence, tokens, places),
        "sent_id": sentence.comments.get("sent_id"),
    }


def _of_words(sentence: _Sentence, tokens: list[str], places: list[Span]) -> list[Span]:
    spans: list[Span] = []
    for owner, group in groupby(range(len(tokens)), key=lambda i: sentence.owner[i]):
        within = [tokens[i] for i in group]
        start, end = places[owner]
        if "".join(within) != sentence.surface[owner]:
            spans += [(start, end)] * len(within)
            continue
        for token in within:
            spans.append((start, start + len(token)))
            start += len(token)
    return spans


KIND = FileKind("conllu", (".conllu",), _read, columnar=True)
