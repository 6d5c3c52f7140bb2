"""Two answers to one prompt, of which people like one better, in the layouts in which such pairs are shared.

A row has a prompt and two answers, each as text or as turns (TRL). The answers may be whole conversations that differ
in their last turn alone (UltraFeedback), with or without the prompt beside them. OpenAI's layout has the prompt in
`input`, and the answers in `preferred_output` and `non_preferred_output`.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from wenlu.corpus.chats import Turn, conversation_in, transcript
from wenlu.errors import DataError

PAIR = ("prompt", "chosen", "rejected")
"""The usual columns."""
OPENAI = ("input", "preferred_output", "non_preferred_output")
"""The keys by which OpenAI's layout is known."""


@dataclass(frozen=True)
class Columns:
    """Where a row has the prompt and the two answers; one of OpenAI's layout has them where that says."""

    prompt: str
    chosen: str
    rejected: str

    @property
    def answers(self) -> tuple[str, str]:
        return self.chosen, self.rejected


@dataclass(frozen=True)
class Pair:
    """Attributes:
    prompt: turns, the last of which is not the assistant's.
    """

    prompt: tuple[Turn, ...]
    chosen: str
    rejected: str

    @property
    def transcript(self) -> str:
        """All that is said: what pairs are cleaned and compared by."""
        return "\n".join([transcript(self.prompt), self.chosen, self.rejected])


def pair(row: Mapping[str, Any], columns: Columns) -> Pair:
    """The pair of one row; raises DataError that names the column."""
    if OPENAI[1] in row and columns.chosen not in row:
        columns = Columns(*OPENAI)
    for name in columns.answers:
        if row.get(name) is None:
            raise DataError(f"no {name!r} in it; it has {', '.join(map(repr, row)) or 'nothing'}")
    ends = [_turns(row[name], name, "assistant") for name in columns.answers]
    prompt = _prompt(row.get(columns.prompt), columns.prompt)
    before = [turns[:-1] for turns in ends]
    if before[0] != before[1]:
        raise DataError(f"{columns.chosen} and {columns.rejected} differ before their last turn; a pair has one prompt")
    prompt = before[0] or prompt  # a whole conversation has the prompt in it
    if not prompt:
        raise DataError(f"no prompt: {columns.prompt!r} is empty, and the answers are no whole conversations")
    for name, turns in zip(columns.answers, ends, strict=True):
        if turns[-1].role != "assistant" or not turns[-1].content.strip():
            raise DataError(f"{name}: ends in no words of the assistant; leave the row out")
    if prompt[-1].role in ("assistant", "system"):
        raise DataError(f"{columns.prompt}: ends in a turn of the {prompt[-1].role}, which asks for no answer")
    chosen, rejected = (turns[-1].content.strip() for turns in ends)
    return Pair(prompt, chosen, rejected)


def _prompt(value: Any, name: str) -> tuple[Turn, ...]:
    match value:
        case None | "":
            return ()
        case {"messages": messages}:
            return conversation_in(messages, name)
        case str() if value.lstrip().startswith('{"messages"'):
            return _prompt(_parsed(value, name), name)
        case _:
            return _turns(value, name, "user")


def _parsed(value: str, name: str) -> Any:
    try:
        return json.loads(value)
    except (ValueError, RecursionError) as error:
        raise DataError(f"{name}: {value[:60]!r} is not JSON ({error})") from error


def _turns(value: Any, name: str, speaker: Any) -> tuple[Turn, ...]:
    """Turns, or a text that `speaker` says; a column that a table or a record keeps as JSON begins as a list does."""
    if isinstance(value, str) and not value.lstrip().startswith('[{"'):
        return (Turn(speaker, value),)
    return conversation_in(value, name)
