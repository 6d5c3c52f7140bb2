"""Conversations of rows that are none: what each side says is written by a template with the names of columns.

`{user = "{context}\\n\\n{question}", assistant = "{answers[0][text]}"}` makes a question and its answer of a row.
Braces that are meant are doubled. With `rejected`, an answer worse than the assistant's, a row is a pair to learn
preferences from too.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from wenlu.corpus.chats import Turn, to_openai, transcript
from wenlu.corpus.pairs import PAIR, Pair
from wenlu.corpus.record import Drop, Record

ROLES = ("system", "user", "assistant")
"""Who may speak, in the order in which they do."""
REJECTED = "rejected"
TEMPLATES = (*ROLES, REJECTED)
MESSAGES = "messages"
"""The key of a record's meta that holds the turns."""
EACH = "*"
"""In brackets: every element of a list, with blanks between them."""

_TOKEN = re.compile(r"(\{\{|\}\})|\{([^{}\[\]]+)((?:\[[^\[\]{}]+\])*)\}|([{}])")
_STEP = re.compile(r"\[([^\[\]]+)\]")


class Nothing(Exception):
    """A row has nothing to say where a template asks for it; the text is why, in a few fixed words."""


def check_templates(turns: Mapping[str, str]) -> None:
    """Raises ValueError where nobody answers, a role is unknown or a template is malformed."""
    for role, template in turns.items():
        if role not in TEMPLATES:
            raise ValueError(f"{role!r} is nobody who speaks; write {', '.join(TEMPLATES)}")
        for match in _TOKEN.finditer(template):
            if match[4]:
                raise ValueError(
                    f"{role}: {template[match.start() :][:30]!r} is no name of a column in braces; "
                    "write {question}, {answers[0][text]}, or {{ and }} where braces are meant"
                )
    missing = [role for role in ROLES[1:] if role not in turns]
    if missing:
        raise ValueError(f'{missing[0]} says nothing; add {missing[0]} = "{{…}}" with the name of a column')


def columns_in(turns: Mapping[str, str]) -> tuple[str, ...]:
    """The columns that the templates name, in order."""
    names = (match[2] for role in TEMPLATES for match in _TOKEN.finditer(turns.get(role, "")) if match[2])
    return tuple(dict.fromkeys(names))


def text_column(turns: Mapping[str, str], wanted: str, given: Mapping[str, str]) -> str:
    """Which of them a file is to be read for: the wanted one where the templates name it, else the first that they take
    as it stands; one that is `given` for all rows is in no file."""
    plain = [
        match[2]
        for role in TEMPLATES
        for match in _TOKEN.finditer(turns.get(role, ""))
        if match[2] and not match[3] and match[2] not in given
    ]
    return wanted if wanted in plain or not plain else plain[0]


def told(record: Record, turns: Mapping[str, str], text: str, kept: tuple[str, ...]) -> Record | Drop:
    """The record as a conversation, with `kept` alone of its other columns.

    Args:
        text: the column that the record's text is of.
    """
    values = {**record.meta, text: record.text}
    try:
        said = [Turn(role, filled(turns[role], values).strip()) for role in ROLES if role in turns]  # type: ignore[arg-type]
        worse = filled(turns[REJECTED], values).strip() if REJECTED in turns else None
        silent = next((turn.role for turn in said if not turn.content), REJECTED if worse == "" else None)
        if silent is not None:
            raise Nothing(f"{silent} says nothing")
    except Nothing as nothing:
        return Drop(record, "source", str(nothing))
    meta = {name: value for name, value in record.meta.items() if name in kept}
    meta |= {MESSAGES: _as_json(said)}
    if worse is None:
        return Record(transcript(said), record.id, meta)
    both = Pair(tuple(said[:-1]), said[-1].content, worse)
    return Record(both.transcript, record.id, {**meta, **dict(zip(PAIR, _as_columns(both), strict=True))})


def _as_json(turns: Sequence[Turn]) -> str:
    return json.dumps(to_openai(turns), ensure_ascii=False)


def _as_columns(pair: Pair) -> tuple[str, str, str]:
    return _as_json(pair.prompt), pair.chosen, pair.rejected


def filled(template: str, values: Mapping[str, str]) -> str:
    """The template with the values in the places of their names; raises Nothing."""
    return "".join(_parts(template, values))


def _parts(template: str, values: Mapping[str, str]) -> Iterator[str]:
    end = 0
    for match in _TOKEN.finditer(template):
        yield template[end : match.start()]
        yield match[1][0] if match[1] else _value(match[2], match[3], values)
        end = match.end()
    yield template[end:]


def _value(name: str, path: str, values: Mapping[str, str]) -> str:
    if name not in values:
        raise Nothing(f"no {name}")
    if not path:
        return values[name]
    try:
        return _as_text(_inside(json.loads(values[name]), _STEP.findall(path)))
    except (ValueError, KeyError, IndexError, TypeError, RecursionError) as error:
        raise Nothing(f"no {name}{path}") from error


def _inside(value: Any, steps: list[str]) -> Any:
    for number, step in enumerate(steps):
        if step == EACH:
            return " ".join(_as_text(_inside(each, steps[number + 1 :])) for each in value)
        value = value[int(step)] if isinstance(value, list) else value[step]
    return value


def _as_text(value: Any) -> str:
    if value is None:
        raise KeyError
    return value if isinstance(value, str) else json.dumps(value, ensure_ascii=False)
