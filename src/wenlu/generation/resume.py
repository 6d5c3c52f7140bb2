"""The output of an interrupted prediction: what is complete stays, the rest is done again."""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from wenlu.errors import UsageError
from wenlu.generation.rows import BadRow, Row

_BEGINNING = b'{"id": '
_ELSEWHERE = "choose another --out, or --overwrite"


@dataclass(frozen=True)
class Earlier:
    """What an output file held before this run."""

    rows: int = 0
    errors: int = 0


def resume(path: Path, rows: Iterator[Row | BadRow], mark: str) -> Earlier:
    """Pass over those `rows` whose predictions `path` holds, and cut off a last line that is not complete.

    Raises:
        UsageError: `path` is not of these rows, settings and model; it is left as it is.
    """
    end, done, errors = 0, 0, 0
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
        file.truncate(end)
    return Earlier(done, errors)


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
