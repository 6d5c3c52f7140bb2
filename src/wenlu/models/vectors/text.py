"""The text format of word2vec, which FastText's .vec files share.

    3 2
    king 0.25 -1
    queen 0.5 -0.75
    …

The header counts words and dimensions; then a word a line, the most frequent first. N-grams have no place in it.
"""

from __future__ import annotations

import re
from array import array
from collections.abc import Iterator
from pathlib import Path

import numpy as np

from wenlu.errors import DataError, ResourceError
from wenlu.models.vectors.vectors import WordVectors
from wenlu.rundir.atomic import failed_to_write, temporary_name

ENDINGS = (".vec", ".txt")

_HEADER = re.compile(r"(\d{1,12}) (\d{1,6})")
_SHOWN = 40


def load_text(path: Path) -> WordVectors:
    """Read a .txt or .vec file; raises DataError with the number of a line that is not what it should be."""
    lines = _lines(path)
    header = next(lines, "")
    match = _HEADER.fullmatch(header)
    if match is None:
        raise DataError(
            f"{path}: line 1: {_short(header)!r} is not the header, number of words and of dimensions ('400000 100'); "
            "GloVe's files have none: write one as the first line"
        )
    count, dimensions = int(match[1]), int(match[2])
    if not count or not dimensions:
        raise DataError(f"{path}: line 1: {header!r} announces no vectors")
    numbers: dict[str, int] = {}
    values = array("f")
    for number, line in enumerate(lines, start=2):
        word, *fields = line.split(" ")
        if len(fields) != dimensions:
            raise DataError(
                f"{path}: line {number}: {len(fields)} numbers after {_short(word)!r}, but {dimensions} dimensions "
                "in the header"
            )
        if not word:
            raise DataError(f"{path}: line {number}: begins with a space, where a word should stand")
        if word in numbers:
            raise DataError(
                f"{path}: line {number}: {_short(word)!r} stands on line {numbers[word]} already; delete one of them"
            )
        if len(numbers) == count:
            raise DataError(f"{path}: line {number}: more words than the {count} of the header")
        numbers[word] = number
        try:
            values.extend(map(float, fields))
        except ValueError as error:
            raise DataError(f"{path}: line {number}: {_wrong(fields)!r} is not a number") from error
    if len(numbers) < count:
        raise DataError(f"{path}: {len(numbers)} words, but {count} in the header; is the file cut off?")
    matrix = np.frombuffer(values, dtype=np.float32).reshape(count, dimensions)
    infinite = ~np.isfinite(matrix).all(axis=1)
    if infinite.any():
        raise DataError(f"{path}: line {int(infinite.argmax()) + 2}: a number that is not finite in float32")
    return WordVectors(tuple(numbers), matrix)


def save_text(vectors: WordVectors, path: Path) -> None:
    """Write the words and their vectors, so that `load_text` reads equal ones; n-grams are left out.

    Raises:
        DataError: a word with a space or a line break in it, which the format cannot hold; or that is not Unicode.
        ResourceError: the disk refuses.
    """
    for word in vectors.words:
        if not word or " " in word or "\n" in word or word.endswith("\r"):
            raise DataError(f"{path}: the text format cannot hold the word {word!r}; save as a folder instead")
    form = " ".join(["%s"] + ["%.9g"] * vectors.dimensions) + "\n"  # nine digits tell any two float32 apart
    temporary = temporary_name(path)
    try:
        with temporary.open("x", encoding="utf-8", newline="\n") as file:
            file.write(f"{len(vectors)} {vectors.dimensions}\n")
            for word, row in zip(vectors.words, vectors.matrix, strict=True):
                file.write(form % (word, *row.tolist()))
        temporary.replace(path)
    except UnicodeEncodeError as error:
        raise DataError(f"{path}: the word {error.object[:_SHOWN]!r} has half of a surrogate pair") from error
    except OSError as error:
        raise failed_to_write(path, error) from error
    finally:
        temporary.unlink(missing_ok=True)


def _lines(path: Path) -> Iterator[str]:
    """The lines without their end and what spaces FastText puts before it."""
    number = 0
    try:
        with path.open("rb") as file:
            for number, line in enumerate(file, start=1):
                yield (line.removeprefix(b"\xef\xbb\xbf") if number == 1 else line).rstrip(b"\r\n ").decode("utf-8")
    except UnicodeDecodeError as error:
        raise DataError(
            f"{path}: line {number}: not UTF-8 text (byte {error.start + 1}); is it the binary format of word2vec? "
            "Then save it as text first"
        ) from error
    except FileNotFoundError as error:
        raise DataError(f"{path}: no such file") from error
    except PermissionError as error:
        raise ResourceError(f"{path}: no permission to read it") from error


def _wrong(fields: list[str]) -> str:
    for field in fields:
        try:
            float(field)
        except ValueError:
            return _short(field)
    raise AssertionError("one of the fields is not a number")


def _short(text: str) -> str:
    return text if len(text) <= _SHOWN else text[:_SHOWN] + "…"
