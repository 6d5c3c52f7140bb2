"""Hand a chat template to the process that renders it, and stop that process where it does not come to an end."""

from __future__ import annotations

import atexit
import json
from pathlib import Path
from threading import Lock
from typing import Any

from wenlu.errors import DataError, WeightsError
from wenlu.tokenizers.template_syntax import translate
from wenlu.worker import Worker, WorkerEnded, WorkerLate

MAX_TEMPLATE = 2**18
MAX_TEXT = 2**22
"""Characters: ten times the longest template in use; a text of some million tokens."""
FUEL = 2_000_000
SECONDS = 10


def render(source: str, variables: dict[str, Any], *, where: str) -> str:
    """What the template `source` makes of `variables`, which are plain JSON values.

    Raises:
        WeightsError: it is too long, no template, does not end, or writes or needs too much; `where` names it.
        DataError: it refuses the messages, or they hold what is no JSON.
    """
    if len(source) > MAX_TEMPLATE:
        raise WeightsError(f"{where}: the chat template has {len(source):,} characters; {MAX_TEMPLATE:,} at most")
    try:
        given = json.dumps(variables, allow_nan=False)
    except (TypeError, ValueError, RecursionError) as error:
        raise DataError(f"messages and tools are plain JSON values (text, numbers, lists, objects): {error}") from error
    size = len(given)
    limits = {"fuel": FUEL + 4 * size, "most": MAX_TEXT + 4 * size, "seconds": SECONDS}
    head = json.dumps({"source": translate(source), **limits})
    answer = _asked(f'{head[:-1]}, "variables": {given}}}\n'.encode())
    if answer is None:
        raise WeightsError(
            f"{where}: the chat template was stopped: it did not end within {SECONDS} seconds, or broke the bounds of "
            "memory or recursion; use another template (chat_template.jinja)"
        )
    if "refused" in answer:
        raise DataError(f"the chat template refuses these messages: {answer['refused']}")
    if "error" in answer:
        raise WeightsError(f"{where}: the chat template cannot be rendered: {answer['error']}")
    text: str = answer["text"]
    return text


def _asked(request: bytes) -> dict[str, Any] | None:
    """The answer; None where the process died of the question or did not answer in time."""
    with _lock:
        try:
            _worker.start()
            _worker.send(request)
            answer: dict[str, Any] = json.loads(_worker.line(SECONDS))
        except (WorkerEnded, WorkerLate):
            _worker.stop()
            return None
        except BaseException:  # also Ctrl-C: half an answer in the pipe would be taken for the next one's
            _worker.stop()
            raise
        return answer


_lock = Lock()
_worker = Worker(Path(__file__).with_name("template_worker.py"), "render chat templates")
atexit.register(_worker.stop)
