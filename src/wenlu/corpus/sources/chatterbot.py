"""ChatterBot's corpora (https://github.com/gunthercox/chatterbot-corpus): YAML of `categories` and `conversations`.

A conversation is a list of texts that are said in turn, by the user first. It is a row of the columns `text` (all that
is said), `messages` (the turns, as OpenAI writes them) and `categories`. A file is read at once, so `max_record_bytes`
bounds it as a whole. `kind = "chatterbot"` asks for it, as .yml says nothing of the layout.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any

from wenlu.corpus.chats import conversation_in, to_openai, transcript
from wenlu.corpus.columns import require_columns, to_record
from wenlu.corpus.reading import read_text
from wenlu.corpus.source import Bad, FileKind, Read, SourceFile, SourceSpec
from wenlu.errors import DataError, MissingExtra

_NAMES = ("text", "messages", "categories")


def _read(file: SourceFile, spec: SourceSpec) -> Iterator[Read]:
    require_columns(_NAMES, spec, str(file.path))
    text = read_text(file.path, spec.encoding, spec.max_record_bytes)
    if text is None:
        yield Bad(file.id, "record too large", f"longer than max_record_bytes = {spec.max_record_bytes}")
        return
    content = _parsed(text, file)
    match content:
        case {"conversations": list() as conversations}:
            categories = content.get("categories") or []
        case _:
            raise DataError(f"{file.path}: not ChatterBot's layout, an object with a list of conversations")
    for number, said in enumerate(conversations, start=1):
        id = f"{file.id}:{number}"
        texts = [_plain(text) for text in said] if isinstance(said, list) else said
        try:
            turns = conversation_in(texts, "conversation")
        except DataError as error:
            yield Bad(id, "malformed conversation", str(error))
            continue
        row = {"text": transcript(turns), "messages": to_openai(turns), "categories": categories}
        yield to_record(row, id, spec)


def _parsed(text: str, file: SourceFile) -> Any:
    """Plain values alone; raises DataError, also for aliases, by which a small file could stand for an endless one."""
    try:
        import yaml  # type: ignore[import-untyped]
    except ModuleNotFoundError as error:
        raise MissingExtra("PyYAML", extra="data", purpose=f"read {file.path}") from error
    try:
        if any(isinstance(event, yaml.AliasEvent) for event in yaml.parse(text, yaml.SafeLoader)):
            raise DataError(f"{file.path}: has an alias (*name), which no corpus needs; write the text out")
        return yaml.safe_load(text)
    except (yaml.YAMLError, RecursionError, ValueError) as error:
        raise DataError(f"{file.path}: malformed YAML ({error}). Is the file whole?") from error


def _plain(value: Any) -> Any:
    """What YAML took for a number or a date was said, too."""
    if isinstance(value, dict):  # "a: b" without quotes
        return ", ".join(f"{key}: {item}" for key, item in value.items())
    return value if isinstance(value, str) else json.dumps(value, ensure_ascii=False, default=str)


KIND = FileKind("chatterbot", (), _read, columnar=True)
