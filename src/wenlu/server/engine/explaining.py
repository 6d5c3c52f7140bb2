"""`Explain`s: work of seconds, done in a thread of its own, one at a time, while the loop goes on answering."""

from __future__ import annotations

import os
import re
import sys
import threading
from collections.abc import Mapping
from contextlib import suppress
from typing import Any

from wenlu.bundle import Bundle
from wenlu.config import check
from wenlu.corpus.steps.words import words_of
from wenlu.errors import WenluError
from wenlu.evaluation.linear.prediction import Stored
from wenlu.explanation.settings import ExplainConfig
from wenlu.generation.rows import BadRow, Row
from wenlu.server.engine.answering import rows_asked, task_of, tokens_of
from wenlu.server.engine.problem import Problem
from wenlu.server.engine.served import Served
from wenlu.server.messages import Explain, Explained

ID = "text"
NICE = 5
_SETTING = re.compile(r"(target|against|at|method|unit|baseline|samples|orders|seed)\b[=:]")
"""What complaints of the explanation begin with, where one of the settings is at fault."""


class Stopped(Exception):
    """Nobody waits for it any more."""


def give_way() -> None:
    """Let a thread, and those that it starts, have what the threads that answer leave of the processors."""
    if sys.platform == "linux":  # where a thread has a priority of its own
        mine = threading.get_native_id()
        with suppress(OSError):
            os.setpriority(os.PRIO_PROCESS, mine, os.getpriority(os.PRIO_PROCESS, mine) + NICE)


def explained(asked: Explain, served: Served, is_stopped: threading.Event) -> Explained:
    """Raises Problem; and Stopped, before the model is asked once more, after `is_stopped` was set."""

    def between() -> None:
        if is_stopped.is_set():
            raise Stopped

    between()
    row = _row(served, asked.example)
    if isinstance(served.bundle, Stored) and "baseline" in asked.settings:
        raise Problem(
            "request", f"{served.name} is a linear model: words are left out, not replaced; leave it out",
            param="baseline",
        )  # fmt: skip
    size = _size(served, row)
    if asked.most_tokens is not None and size > asked.most_tokens:
        unit = "words" if isinstance(served.bundle, Stored) else "tokens"
        raise Problem(
            "request",
            f"{size:,} {unit}, and texts of at most {asked.most_tokens:,} are explained; give a shorter one, or raise "
            "limits.explain_tokens",
            param="example",
        )
    try:
        config = check(ExplainConfig, dict(asked.settings), where="explain")
        found = served.explainer.one(row.prompt, row.meta, config, between=between)
    except WenluError as error:
        setting = _SETTING.match(str(error))
        raise Problem.of(error, param=None if setting is None else f"settings.{setting[1]}") from error
    return Explained(id=asked.id, told=found.as_json(), tokens=size if isinstance(served.bundle, Bundle) else 0)


def _row(served: Served, example: Mapping[str, Any]) -> Row:
    if "explain" not in served.info.abilities:
        does = ", ".join(served.info.abilities)
        raise Problem("request", f"{served.name} is not explained; it can be asked to {does}")
    if task_of(served) is not None:
        (row,) = rows_asked(served, (example,))
        if isinstance(row, BadRow):
            raise Problem("request", row.error, param="example")
        return row
    text = example.get("text")
    if not isinstance(text, str) or len(example) > 1:
        raise Problem("request", f"{served.name} goes on with a text, and reads no columns; give one", param="example")
    return Row(ID, text, {})


def _size(served: Served, row: Row) -> int:
    """Tokens of all texts; of a linear model words."""
    if isinstance(served.bundle, Stored):
        return len(words_of(row.prompt))
    return tokens_of(served, [row, *(Row(ID, text, {}) for text in row.meta.values())])
