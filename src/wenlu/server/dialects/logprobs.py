"""Log-probabilities of tokens, in the shape of Chat Completions and in the older one of Completions."""

from __future__ import annotations

import codecs
from collections.abc import Iterable
from typing import Literal

from msgspec import Struct

from wenlu.server.messages import TokenInfo

NEVER = -9999.0
"""JSON has no infinity; OpenAI's dialect says this of what cannot be."""


class TopLogprob(Struct, frozen=True):
    token: str
    logprob: float
    bytes: list[int]


class TokenLogprob(Struct, frozen=True):
    """`token` spells bytes that are no whole character as `\\\\xe4`; `bytes` are those of the token itself."""

    token: str
    logprob: float
    bytes: list[int]
    top_logprobs: list[TopLogprob]


class ChatLogprobs(Struct, frozen=True):
    content: list[TokenLogprob]
    refusal: None = None


class LegacyLogprobs(Struct, frozen=True):
    """One entry a token in each list; `text_offset` counts characters of the choice's text."""

    tokens: list[str]
    token_logprobs: list[float | None]
    top_logprobs: list[dict[str, float] | None] | None
    text_offset: list[int]


def chat_logprobs(tokens: Iterable[TokenInfo]) -> ChatLogprobs:
    return ChatLogprobs(
        [
            TokenLogprob(
                _spelt(token.utf8),
                _number(token.logprob),
                list(token.utf8),
                [TopLogprob(_spelt(other.utf8), _number(other.logprob), list(other.utf8)) for other in token.top],
            )
            for token in tokens
        ]
    )


class LegacyTable:
    """Makes the older shape, also piece by piece: it remembers how much text there was."""

    def __init__(self, top: int) -> None:
        self._top = top
        self._decoder = codecs.getincrementaldecoder("utf-8")("replace")
        self._length = 0

    def of(self, tokens: Iterable[TokenInfo]) -> LegacyLogprobs:
        """Of the next tokens; those without a log-probability have nothing beside them either."""
        rows = list(tokens)
        offsets = [self._offset(row.utf8) for row in rows]
        return LegacyLogprobs(
            [_spelt(row.utf8, "bytes:") for row in rows],
            [None if row.logprob is None else _number(row.logprob) for row in rows],
            [None if row.logprob is None else self._likeliest(row) for row in rows] if self._top else None,
            offsets,
        )

    def _offset(self, utf8: bytes) -> int:
        """Characters before this token; those that it only completes stand where they began."""
        offset = self._length
        self._length += len(self._decoder.decode(utf8))
        return offset

    def _likeliest(self, token: TokenInfo) -> dict[str, float]:
        """The token itself is always among them."""
        likeliest = {_spelt(other.utf8, "bytes:"): _number(other.logprob) for other in token.top}
        likeliest.setdefault(_spelt(token.utf8, "bytes:"), _number(token.logprob))
        return likeliest


def _number(logprob: float | None) -> float:
    return NEVER if logprob is None else max(logprob, NEVER)


def _spelt(utf8: bytes, prefix: Literal["", "bytes:"] = "") -> str:
    try:
        return utf8.decode()
    except UnicodeDecodeError:
        return prefix + utf8.decode("utf-8", errors="backslashreplace")
