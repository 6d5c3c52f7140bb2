"""Sets of questions about words: those that gensim carries, and files in their public formats.

wordsim353, simlex999   word, word and people's score, parted by tabs; # begins a comment
questions-words         ": section", then four words a line: a is to b as c is to d
"""

from __future__ import annotations

import hashlib
import importlib.util
import math
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from wenlu import hub
from wenlu.errors import DataError
from wenlu.models.vectors import Analogy, WordPair


@dataclass(frozen=True)
class WordSet:
    """A set that gensim carries, pinned so that scores can be compared."""

    name: str
    file: str
    sha256: str


WORD_SETS: tuple[WordSet, ...] = (
    WordSet("wordsim353", "wordsim353.tsv", "f92a022fc2537793a15bc3a8c162ebcd74990e033a228bb6388cb71e4c0b1e1d"),
    WordSet("simlex999", "simlex999.txt", "d5e0501971478a511430ee880bd0121e94ac701ba86d90544d83e6d2ba3db05d"),
    WordSet(
        "questions-words", "questions-words.txt", "8c29b3332afc46f3fb8be04cb5297bf96f39aa7131272dff57869b4485b22a36"
    ),
)
"""Finkelstein et al. 2002 (WordSim-353); Hill, Reichart & Korhonen 2015 (SimLex-999); Mikolov et al. 2013."""


def find_set(name: str) -> tuple[str, Path]:
    """The short name and the file of a set: one of WORD_SETS, or whatever `hub.resolve` takes.

    Raises DataError for a file that is not there, or a set of that name with other content.
    """
    known = next((word_set for word_set in WORD_SETS if word_set.name == name), None)
    if known is None:
        try:
            path = hub.resolve(name).path
        except DataError as error:
            names = ", ".join(word_set.name for word_set in WORD_SETS)
            raise DataError(f"{error}; sets by name: {names}") from error
        return path.stem, path
    spec = importlib.util.find_spec("gensim")
    if spec is not None and spec.origin is not None:
        path = Path(spec.origin).parent / "test" / "test_data" / known.file
    else:
        path = hub.package_file("gensim", f"gensim/test/test_data/{known.file}")
    if not path.is_file():
        raise DataError(f"{path}: {name} is not where gensim keeps it; give the file's own path")
    if hashlib.sha256(path.read_bytes()).hexdigest() != known.sha256:
        raise DataError(f"{path}: is not the {name} that scores are known for; give its path to use it nevertheless")
    return known.name, path


def read_pairs(path: Path) -> list[WordPair]:
    """Pairs of words with people's scores; raises DataError with the number of a line that is none."""
    pairs = []
    for number, line in _lines(path):
        fields = line.split("\t") if "\t" in line else line.replace(",", " ").split()
        score = _number(fields[2]) if len(fields) == 3 else None
        if score is None:
            raise DataError(
                f"{path}: line {number}: {line[:60]!r} is not two words and a score, parted by tabs; "
                "# begins a comment or a header"
            )
        pairs.append(WordPair(fields[0].strip(), fields[1].strip(), score))
    if not pairs:
        raise DataError(f"{path}: no pairs of words in it")
    return pairs


def read_analogies(path: Path) -> list[Analogy]:
    """Questions in their sections; raises DataError with the number of a line that is neither."""
    questions = []
    section = ""
    for number, line in _lines(path):
        words = line.split()
        if line.startswith(":"):
            section = line.removeprefix(":").strip()
        elif len(words) == 4:
            a, b, c, expected = words
            questions.append(Analogy(a, b, c, expected, section))
        else:
            raise DataError(f"{path}: line {number}: {line[:60]!r} is neither four words nor ': section'")
    if not questions:
        raise DataError(f"{path}: no analogies in it")
    return questions


def _lines(path: Path) -> Iterator[tuple[int, str]]:
    """The lines that say something, with their numbers."""
    try:
        text = path.read_text(encoding="utf-8-sig")
    except UnicodeDecodeError as error:
        raise DataError(f"{path}: not UTF-8 text (byte {error.start}); save it as UTF-8") from error
    except OSError as error:
        raise DataError(f"{path}: cannot be read ({error.strerror})") from error
    for number, line in enumerate(text.split("\n"), start=1):
        if line.strip() and not line.startswith("#"):
            yield number, line.strip()


def _number(text: str) -> float | None:
    try:
        number = float(text)
    except ValueError:
        return None
    return number if math.isfinite(number) else None
