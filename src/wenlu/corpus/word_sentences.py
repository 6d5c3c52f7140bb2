"""Text as sentences of words, which word vectors learn from."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Literal

from pydantic import PositiveInt

from wenlu.config import Config
from wenlu.corpus.steps.words import words_of

_BLANK_LINES = re.compile(r"\n\s*\n")


class WordsConfig(Config):
    """The section `[words]`: what a word is, and which words have a vector."""

    segmentation: Literal["words", "spaces"] = "words"
    """`words` cuts Chinese by rjieba and the rest at the boundaries of words, as the step `words` does; `spaces` takes
    text that is cut already."""
    lowercase: bool = True
    punctuation: bool = False
    """Keep punctuation marks, as words of their own."""
    sentence: Literal["line", "paragraph", "document"] = "paragraph"
    """What no window crosses the end of; paragraphs are parted by blank lines."""
    min_count: PositiveInt = 5
    """Rarer words have no vector."""


def sentences(text: str, config: WordsConfig, *, longest: int) -> Iterator[list[str]]:
    """The sentences of a text, none empty; one of more than `longest` words is cut."""
    for part in _parts(text, config):
        words = _words(part.lower() if config.lowercase else part, config)
        for start in range(0, len(words), longest):
            yield words[start : start + longest]


class SentenceFile:
    """Sentences of words in a file, one a line with a space between words; read anew by each loop over it."""

    def __init__(self, path: Path) -> None:
        self.path = path

    def __iter__(self) -> Iterator[list[str]]:
        with self.path.open(encoding="utf-8", newline="\n") as file:
            for line in file:
                yield line.rstrip("\n").split(" ")

    def write(self, all_sentences: Iterable[list[str]]) -> tuple[int, int]:
        """Replace the file; returns how many sentences and words it has."""
        lines = words = 0
        with self.path.open("w", encoding="utf-8", newline="\n") as file:
            for sentence in all_sentences:
                file.write(" ".join(sentence) + "\n")
                lines += 1
                words += len(sentence)
        return lines, words


def _parts(text: str, config: WordsConfig) -> list[str]:
    match config.sentence:
        case "line":
            return text.splitlines()
        case "paragraph":
            return _BLANK_LINES.split(text)
        case "document":
            return [text]


def _words(text: str, config: WordsConfig) -> list[str]:
    if config.segmentation == "words":
        return words_of(text, punctuation=config.punctuation)
    words = text.split()
    return words if config.punctuation else [word for word in words if any(letter.isalnum() for letter in word)]
