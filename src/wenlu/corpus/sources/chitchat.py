"""The chit-chat of BYU (https://github.com/BYU-PCCL/chitchat-dataset): one object of conversations by their id.

Each has `messages`, lists of what was said by one side at a time, of objects with `text` and `sender`. Whoever begins
is the user, the other one the assistant; what one side says in several messages is one turn, a line each. Where
nobody answers, which is so of nearly half of them, there is no conversation: it is dropped. A conversation is a row of
the columns `text` (all that is said), `messages` (the turns, as OpenAI writes them), `id` and `ratings`.
`kind = "chitchat"` asks for it, as .json says nothing of the layout.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any

from wenlu.corpus.chats import Turn, to_openai, transcript
from wenlu.corpus.columns import require_columns, to_record
from wenlu.corpus.json_window import JsonWindow
from wenlu.corpus.reading import open_text
from wenlu.corpus.record import Drop, Record
from wenlu.corpus.source import Bad, FileKind, Read, SourceFile, SourceSpec

_NAMES = ("text", "messages", "id", "ratings")


def _read(file: SourceFile, spec: SourceSpec) -> Iterator[Read]:
    require_columns(_NAMES, spec, str(file.path))
    with open_text(file.path, spec.encoding) as stream:
        for number, (name, value) in enumerate(_members(JsonWindow(stream, file, spec)), start=1):
            id = f"{file.id}:{number}"
            try:
                turns = _turns(value)
            except ValueError as error:
                yield Bad(id, "malformed conversation", str(error))
                continue
            if len(turns) < 2:
                yield Drop(Record(transcript(turns), id), "source", "nobody answers")
                continue
            row = {"text": transcript(turns), "messages": to_openai(turns), "id": name, "ratings": value.get("ratings")}
            yield to_record(row, id, spec)


def _members(window: JsonWindow) -> Iterator[tuple[str, Any]]:
    """The keys and values of an object, without holding more than one of them."""
    window.take("{")
    is_first = True
    while window.peek() != "}":
        if not is_first:
            window.take(",")
        is_first = False
        name = window.value()
        window.take(":")
        yield str(name), window.value()
    window.take("}")
    if window.peek():
        raise window.error("something follows the object")


def _turns(value: Any) -> list[Turn]:
    """Raises ValueError that names what is wrong."""
    match value:
        case {"messages": list() as groups}:
            pass
        case _:
            raise ValueError(f"{_short(value)} is no object with messages")
    senders: list[str] = []
    said: list[tuple[str, list[str]]] = []
    for message in (message for group in groups for message in (group if isinstance(group, list) else [group])):
        match message:
            case {"text": str() as text, "sender": str() as sender}:
                pass
            case _:
                raise ValueError(f"the message {_short(message)} has no text and sender")
        if not text.strip():
            continue
        if sender not in senders:
            senders.append(sender)
        if said and said[-1][0] == sender:
            said[-1][1].append(text.strip())
        else:
            said.append((sender, [text.strip()]))
    if len(senders) > 2:
        raise ValueError(f"it has {len(senders)} senders, not two")
    return [Turn("user" if sender == senders[0] else "assistant", "\n".join(texts)) for sender, texts in said]


def _short(value: Any) -> str:
    return json.dumps(value, ensure_ascii=False)[:60]


KIND = FileKind("chitchat", (), _read, columnar=True)
