"""A text with words and what is known of them, as a record of the data tells it."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Literal

from wenlu.corpus.record import Record
from wenlu.corpus.token_text import find_tokens
from wenlu.errors import DataError
from wenlu.tasks.tagging.words import Mention, Words

Cut = Literal["signs", "whole"]


@dataclass(frozen=True)
class TaggedText:
    """Words, and one answer or none.

    Attributes:
        tags: one a word, as the data writes them.
        mentions: entities by characters; in word segmentation the words, whose label is empty.
        has_tokens: the data gave the words; otherwise they were found in the text.
    """

    words: Words
    tags: tuple[str, ...] | None = None
    mentions: tuple[Mention, ...] | None = None
    id: str = ""
    has_tokens: bool = False

    @property
    def is_answered(self) -> bool:
        return self.tags is not None or self.mentions is not None


def listed(value: str, what: str, id: str) -> list[str]:
    """A JSON list of strings, or strings parted by blanks; raises DataError."""
    if not value.lstrip().startswith("["):
        return value.split()
    try:
        found = json.loads(value)
    except json.JSONDecodeError as error:
        raise DataError(f"{id}: {what} {value[:60]!r} is not JSON ({error.msg})") from error
    if not all(isinstance(one, str) for one in found):
        raise DataError(f"{id}: {what} {value[:60]!r} is not a list of strings")
    return list(found)


def with_tags(record: Record, tokens: str | None, tags: str | None, cut: Cut) -> TaggedText:
    """A text whose words have tags, where `tags` are given; raises DataError."""
    named = None if tags is None else tuple(listed(tags, "tags", record.id))
    if tokens is not None:
        words = _of_tokens(record, listed(tokens, "tokens", record.id))
    elif named is None:
        words = cut_words(record, cut)
    else:
        words = _fitting(record, len(named))
    if named is not None and len(named) != len(words):
        raise DataError(f"{record.id}: {len(named)} tags for {len(words)} tokens; give one a token")
    return TaggedText(_some(words, record), named, id=record.id, has_tokens=tokens is not None)


def with_mentions(record: Record, tokens: str | None, entities: Any, cut: Cut) -> TaggedText:
    """A text whose entities are given by characters of it; raises DataError."""
    if not isinstance(entities, list):
        raise DataError(f"{record.id}: entities {json.dumps(entities)[:60]}; give a list of start, end and label")
    mentions = tuple(sorted(_mention(entity, record) for entity in entities))
    words = cut_words(record, cut)
    if tokens is not None:
        words = _of_tokens(record, listed(tokens, "tokens", record.id))
        if words.text != record.text:
            raise DataError(f"{record.id}: its tokens do not make up its text, and entities count characters of that")
    return TaggedText(_some(words, record), mentions=mentions, id=record.id, has_tokens=tokens is not None)


def segmented(record: Record, tokens: str | None) -> TaggedText:
    """A text that stands without blanks beside Chinese, and as its mentions the words that blanks or `tokens` part."""
    parts = record.text.split() if tokens is None else listed(tokens, "tokens", record.id)
    try:
        whole = Words.joined(parts)
    except DataError as error:
        raise DataError(f"{record.id}: {error}") from error
    mentions = tuple(Mention(start, end, "") for start, end in whole.spans)
    return TaggedText(_some(Words.characters(whole.text), record), mentions=mentions, id=record.id)


def cut_words(record: Record, cut: Cut) -> Words:
    try:
        return Words.whole(record.text) if cut == "whole" else Words.in_text(record.text)
    except DataError as error:
        raise DataError(f"{record.id}: {error}") from error


def usual_cut(examples: Sequence[TaggedText]) -> Cut:
    """How texts are cut as the tokens that were given: whether those with signs inside are mostly `whole`."""
    given = [token for example in examples[:1000] if example.has_tokens for token in example.words.texts]
    with_signs = [token for token in given if len(Words.in_text(token)) > 1]
    return "whole" if sum(len(Words.whole(token)) == 1 for token in with_signs) > len(with_signs) / 2 else "signs"


def _of_tokens(record: Record, tokens: Sequence[str]) -> Words:
    """The tokens where they stand in the text; where they do not make it up, in a text of their own."""
    try:
        joined = Words.joined(tokens)
    except DataError as error:
        raise DataError(f"{record.id}: {error}") from error
    if record.text == "\n".join(tokens):  # a column of lists that was named as the text
        return joined
    spans = find_tokens(tokens, record.text)
    return joined if spans is None else Words(record.text, tuple(spans))


def _fitting(record: Record, count: int) -> Words:
    """Words parted by blanks, or characters, whichever are as many as there are tags."""
    by_blanks = Words.blanks(record.text)
    characters = Words.characters(record.text)
    if len(by_blanks) != count and len(characters) == count:
        return characters
    return by_blanks


def _some(words: Words, record: Record) -> Words:
    if not len(words):
        raise DataError(f"{record.id}: no words in {record.text[:60]!r}")
    return words


def _mention(entity: Any, record: Record) -> Mention:
    """Without white space at its ends."""
    match entity:
        case {"start": int() as start, "end": int() as end, "label": str() as label} if label:
            pass
        case _:
            raise DataError(
                f"{record.id}: entity {json.dumps(entity, ensure_ascii=False)[:80]}; give start, end and label"
            )
    if not 0 <= start < end <= len(record.text):
        raise DataError(
            f"{record.id}: entity from {start} to {end} of a text of {len(record.text)} characters; offsets count "
            "characters (not bytes) from 0, and the end is behind the last one"
        )
    marked, wanted = record.text[start:end], entity.get("text")
    if isinstance(wanted, str) and wanted != marked:
        raise DataError(
            f"{record.id}: entity {wanted[:40]!r} from {start} to {end}, where {marked[:40]!r} stands; "
            "was the text changed after it was annotated?"
        )
    if not marked.strip():
        raise DataError(f"{record.id}: entity from {start} to {end} is white space")
    return Mention(start + len(marked) - len(marked.lstrip()), end - len(marked) + len(marked.rstrip()), label)
