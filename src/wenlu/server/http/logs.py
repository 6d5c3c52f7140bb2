"""Logs as JSON, a line each on standard error: no prompt and no key is ever in them."""

from __future__ import annotations

import json
import logging
import re
import sys
import traceback
from collections.abc import Iterable
from datetime import UTC, datetime
from typing import TextIO

ACCESS = logging.getLogger("wenlu.server.access")
_KEYS = re.compile(r"wk-[0-9A-Za-z]{8,}|(?i:bearer)[ +]\S+")
_FIELDS = "fields"
_CONTROL = re.compile(r"[\x00-\x1f\x7f\u0085\u2028\u2029]")


def start_logging(level: str, *, secrets: Iterable[str] = (), stream: TextIO | None = None) -> None:
    """Write what `wenlu` and uvicorn log; `secrets` are replaced wherever they stand."""
    handler = logging.StreamHandler(stream or sys.stderr)
    handler.setFormatter(JsonLines(secrets))
    for name in ("wenlu", "uvicorn"):
        logger = logging.getLogger(name)
        logger.handlers = [handler]
        logger.propagate = False
        logger.setLevel(level.upper())
    if level != "debug":
        logging.getLogger("uvicorn").setLevel(logging.WARNING)  # that it starts and stops we say ourselves


class JsonLines(logging.Formatter):
    """A record as one line; what may come from a client stands in it escaped, and keys nowhere.

    Of an exception the type is told and where it was raised, not its message, which may quote a prompt.
    """

    def __init__(self, secrets: Iterable[str] = ()) -> None:
        super().__init__()
        self._secrets = tuple(secret for secret in secrets if secret)

    def format(self, record: logging.LogRecord) -> str:
        line = {
            "time": datetime.fromtimestamp(record.created, UTC).isoformat(timespec="milliseconds"),
            "level": record.levelname.lower(),
            "event": record.getMessage(),
            **getattr(record, _FIELDS, {}),
        }
        if record.exc_info and record.exc_info[0] is not None:
            frames = traceback.extract_tb(record.exc_info[2])
            line["error"] = record.exc_info[0].__name__
            line["where"] = [
                f"{frame.filename.rpartition('/')[2]}:{frame.lineno} {frame.name}" for frame in frames[-8:]
            ]
        text = json.dumps(line, ensure_ascii=False, default=str)
        for secret in self._secrets:
            text = text.replace(secret, "[key]")
        return _CONTROL.sub(lambda found: f"\\u{ord(found[0]):04x}", _KEYS.sub("[key]", text))


def told(**fields: object) -> dict[str, dict[str, object]]:
    """What a record tells beside its event: `log.info("stopped", extra=told(seconds=3))`."""
    return {_FIELDS: fields}
