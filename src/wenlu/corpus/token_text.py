"""Text from tokens that were annotated one by one, and where each of them stands in it."""

from __future__ import annotations

import re
from collections.abc import Sequence

from wenlu.corpus.script import RANGES, UNSPACED

Span = tuple[int, int]
"""First character and the one after the last."""

_MARKS = ((0x3001, 0x303F), (0xFE30, 0xFE4F), (0xFF01, 0xFF65), (0xFFE0, 0xFFE6))
"""Punctuation of Chinese and Japanese, and full-width forms."""
_UNSPACED = re.compile(
    "[{}]".format(
        "".join(f"{chr(a)}-{chr(b)}" for a, b in (*_MARKS, *(pair for name in UNSPACED for pair in RANGES[name])))
    )
)
_SHARED = frozenset("“”‘’—…·")
"""Punctuation of both Chinese and English, which takes no blank beside a Chinese character."""


def join_tokens(tokens: Sequence[str], glued: Sequence[bool] = ()) -> tuple[str, list[Span]]:
    """The tokens with a blank between them, or nothing between characters of scripts that put no space there.

    Args:
        glued: where it is known, whether nothing stands after each token.
    """
    parts: list[str] = []
    spans: list[Span] = []
    at = 0
    for i, token in enumerate(tokens):
        if i and not (glued[i - 1] if glued else _touch(tokens[i - 1], token)):
            parts.append(" ")
            at += 1
        parts.append(token)
        spans.append((at, at + len(token)))
        at += len(token)
    return "".join(parts), spans


def find_tokens(tokens: Sequence[str], text: str) -> list[Span] | None:
    """Where the tokens stand in `text`, which has nothing but white space between them; None where they do not."""
    spans: list[Span] = []
    at = 0
    for token in tokens:
        while at < len(text) and text[at].isspace() and not text.startswith(token, at):
            at += 1
        if not text.startswith(token, at):
            return None
        spans.append((at, at + len(token)))
        at += len(token)
    return spans if not text[at:].strip() else None


def _touch(left: str, right: str) -> bool:
    before, after = _is_unspaced(left[-1:]), _is_unspaced(right[:1])
    return (before and (after or right[:1] in _SHARED)) or (after and left[-1:] in _SHARED)


def _is_unspaced(character: str) -> bool:
    return _UNSPACED.match(character) is not None
