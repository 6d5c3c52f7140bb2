"""The output of an interrupted prediction: what is complete stays, the rest is done again."""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from wenlu.errors import UsageError
from wenlu.generation.rows import BadRow, Row

_BEGINNING = b'{"id": '
_ELSEWHERE = "choose another --out, or --overwrite"


@dataclass(frozen=True)
class Earlier:
    """What an output file held before this run.

    Attributes:
        again: rows that are answered once more, without writing what comes: those of a window that was begun.
    """

    rows: int = 0
    errors: int = 0
    again: list[Row | BadRow] = field(default_factory=list)


def resume(path: Path, rows: Iterator[Row | BadRow], mark: str, *, window: int = 1) -> Earlier:
    """Pass over those `rows` whose predictions `path` holds, and cut off a last line that is not complete.

    Args:
        window: rows that are read by the model together, so that neighbours decide how numbers are rounded. One that
            was begun is read again as a whole, and the output is to the bit that of a run without interruption.

    Raises:
        UsageError: `path` is not of these rows, settings and model; it is left as it is.
    """
    end, done, errors = 0, 0, 0
    again: list[Row | BadRow] = []
    with path.open("rb+") as file:
        for number, line in enumerate(file, start=1):
            if not line.endswith(b"\n"):
                if not line.startswith(_BEGINNING[: len(line)]):
                    raise UsageError(f"{path}: line {number} is not a prediction; {_ELSEWHERE}")
                break
            row = next(rows, None)
            if row is None:
                raise UsageError(f"{path}: holds more predictions than the input has rows ({done}); {_ELSEWHERE}")
            errors += "error" in _verified(path, number, line, row, mark)
            end += len(line)
            done += 1
            again.append(row)
            if done % window == 0:
                again.clear()
        file.truncate(end)
    return Earlier(done, errors, again)


def _verified(path: Path, number: int, line: bytes, row: Row | BadRow, mark: str) -> dict[str, Any]:
    try:
        earlier = json.loads(line)
    except ValueError as error:
        raise UsageError(f"{path}: line {number} is not a prediction; {_ELSEWHERE}") from error
    if not isinstance(earlier, dict) or "signature" not in earlier:
        raise UsageError(f"{path}: line {number} is not a prediction; {_ELSEWHERE}")
    if earlier["signature"] != mark:
        raise UsageError(
            f"{path}: was written with another model or other settings "
            f"(signature {earlier['signature']}, now {mark}); {_ELSEWHERE}"
        )
    if earlier.get("id") != row.id:
        raise UsageError(f"{path}: line {number} answers {earlier.get('id')!r}, the input has {row.id!r}; {_ELSEWHERE}")
    return earlier
