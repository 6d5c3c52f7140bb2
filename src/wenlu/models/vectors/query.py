"""What a person types to ask word vectors: a word, or a sum as in `king - man + woman`."""

from __future__ import annotations

from wenlu.errors import DataError
from wenlu.models.vectors.vectors import Neighbour, WordVectors

_SIGNS = {"+": True, "＋": True, "-": False, "－": False, "−": False}


def parse_query(text: str) -> tuple[list[str], list[str]]:
    """The words to add and the words to subtract; a sign stands alone, so that `well-known` is one word.

    Raises DataError where a sign has no word behind it, or there is none at all.
    """
    plus: list[str] = []
    minus: list[str] = []
    sign: str | None = None
    for part in text.split():
        if part in _SIGNS:
            if sign is not None:
                break
            sign = part
        else:
            (plus if _SIGNS[sign or "+"] else minus).append(part)
            sign = None
    if sign is not None:
        raise DataError(f"{text!r}: no word behind {sign!r}; write a word, or a sum as in 'king - man + woman'")
    if not plus and not minus:
        raise DataError(f"{text!r}: no word to look for neighbours of; write one, or a sum as in 'king - man + woman'")
    return plus, minus


def ask(vectors: WordVectors, text: str, *, count: int = 10) -> list[Neighbour]:
    """The neighbours of what `text` says; raises DataError for a word without a vector."""
    plus, minus = parse_query(text)
    return vectors.neighbours(plus, minus, count=count)
