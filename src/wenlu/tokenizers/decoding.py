"""From ids to text, at once or as they come."""

from __future__ import annotations

import codecs
import re
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any

from wenlu.errors import DataError, WeightsError

Render = Callable[[str, bool], str]
"""A token and whether it is the first of its text, to the text that it stands for."""

_BYTE = re.compile(r"<0x([0-9A-Fa-f]{2})>")


@dataclass(frozen=True)
class Rules:
    """The decoder of a tokenizer.json, taken apart: what each token stands for, and what is cut at the ends.

    Attributes:
        renders: applied to each token in order.
        byte_level: tokens are written in GPT-2's alphabet of bytes.
        byte_fallback: a token `<0xE4>` is that byte.
        start, stop: a character, and how many of it are removed there from the whole text.
    """

    renders: tuple[Render, ...] = ()
    byte_level: bool = False
    byte_fallback: bool = False
    start: tuple[str, int] = (" ", 0)
    stop: tuple[str, int] = (" ", 0)

    def piece(self, token: str, first: bool) -> bytes:
        """What `token` adds to the text; part of a character where the token is."""
        for render in self.renders:
            token = render(token, first)
        if self.byte_fallback and (match := _BYTE.fullmatch(token)):
            return bytes([int(match[1], 16)])
        if self.byte_level:
            values = [BYTE_OF.get(character) for character in token]
            # An added token is written as it is, not in the alphabet of bytes.
            return token.encode() if None in values else bytes(value for value in values if value is not None)
        return token.encode()


def rules_of(decoder: Mapping[str, Any] | None) -> Rules:
    """Understand the `decoder` of a tokenizer.json; raises WeightsError for one that is not for text."""
    if decoder is None:
        return Rules((lambda token, first: token if first else f" {token}",))
    renders: list[Render] = []
    found: dict[str, Any] = {}
    fused = False
    for part in _flat(decoder):
        kind = part.get("type")
        match kind:
            case "ByteLevel":
                found["byte_level"] = True
            case "ByteFallback":
                found["byte_fallback"] = True
            case "Fuse":
                fused = True
            case "Strip" if fused:
                found["start"] = (part["content"], int(part["start"]))
                found["stop"] = (part["content"], int(part["stop"]))
            case "Strip":
                renders.append(_strip(part["content"], int(part["start"]), int(part["stop"])))
            case "Replace" if not fused:
                renders.append(_replace(part["pattern"], part["content"]))
            case "Metaspace" if not fused:
                never = part.get("prepend_scheme", "always") == "never" or part.get("add_prefix_space") is False
                renders.append(_metaspace(part["replacement"], prepended=not never))
            case "WordPiece" if not fused:
                renders.append(_wordpiece(part["prefix"], cleanup=bool(part["cleanup"])))
            case "BPEDecoder" if not fused:
                renders.append(_replace({"String": part["suffix"]}, " "))
                found["stop"] = (" ", 1)
            case _:
                where = " after Fuse" if fused else ""
                raise WeightsError(
                    f"tokenizer.json: decoder {kind!r}{where} is not supported; known: ByteLevel, ByteFallback, "
                    "Fuse, Strip, Replace, Metaspace, WordPiece, BPEDecoder and Sequence of them"
                )
    return Rules(tuple(renders), **found)


class Pieces:
    """What each id adds to a text, worked out once an id.

    Args:
        token_of: token of an id, or None for an id that the vocabulary does not have.
        special: ids of special tokens.
    """

    def __init__(self, rules: Rules, token_of: Callable[[int], str | None], special: frozenset[int], size: int) -> None:
        self.rules = rules
        self.special = special
        self._token_of = token_of
        self._size = size
        self._later: dict[int, bytes] = {}

    def first(self, token_id: int) -> bytes:
        return self.rules.piece(self.token(token_id), True)

    def later(self, token_id: int) -> bytes:
        piece = self._later.get(token_id)
        if piece is None:
            piece = self._later[token_id] = self.rules.piece(self.token(token_id), False)
        return piece

    def opening(self, token_id: int) -> bytes:
        """As `first`, without what is cut at the start of a text."""
        piece = self.first(token_id)
        character, count = self.rules.start
        for _ in range(count):
            piece = piece.removeprefix(character.encode())
        return piece

    def text(self, ids: Iterable[int], *, skip_special: bool) -> str:
        """The text of `ids`; bytes that are no character become U+FFFD."""
        kept = [i for i in ids if i not in self.special] if skip_special else list(ids)
        if not kept:
            return ""
        later = self.later
        text = (self.first(kept[0]) + b"".join([later(i) for i in kept[1:]])).decode("utf-8", "replace")
        start, stop = self.rules.start, self.rules.stop
        text = text[_leading(text, *start) :]
        return text[: len(text) - _leading(text[::-1], *stop)]

    def token(self, token_id: int) -> str:
        """The token as the vocabulary writes it; raises DataError for an id that it does not have."""
        token = self._token_of(token_id) if token_id >= 0 else None
        if token is None:
            raise DataError(
                f"token id {token_id} is not in the vocabulary of {self._size}; "
                "do the tokenizer and the model belong together?"
            )
        return token


@dataclass
class TokenStream:
    """Text of ids that arrive one by one: all that `push` and `flush` return, joined, is `decode` of all ids.

    A character whose bytes are not complete is held back (3 bytes at most), so U+FFFD comes out only where the
    ids spell no valid UTF-8.
    """

    pieces: Pieces
    skip_special: bool = True
    _utf8: codecs.IncrementalDecoder = field(init=False, repr=False)
    _begun: bool = field(default=False, init=False)
    _held: str = field(default="", init=False)

    def __post_init__(self) -> None:
        self._utf8 = codecs.getincrementaldecoder("utf-8")("replace")
        self._to_cut = self.pieces.rules.start[1]

    def push(self, token_id: int) -> str:
        """The text that `token_id` completes; empty while a character is pending."""
        if self.skip_special and token_id in self.pieces.special:
            return ""
        piece = self.pieces.later(token_id) if self._begun else self.pieces.first(token_id)
        self._begun = True
        return self._ends(self._utf8.decode(piece))

    def flush(self, *, tells_broken: bool = True) -> str:
        """What is still held back, at the end of the text; the stream then begins anew.

        Args:
            tells_broken: whether the beginning of a character is told as U+FFFD, as `decode` does, or left out.
        """
        text = self._ends(self._utf8.decode(b"", final=True) if tells_broken else "")
        rest = self._held
        self.__post_init__()
        self._begun, self._held = False, ""
        character, count = self.pieces.rules.stop
        return text + rest[: len(rest) - _leading(rest[::-1], character, count)]

    def _ends(self, text: str) -> str:
        """`text` without what is cut at the start, and holding back what may be cut at the end."""
        if self._to_cut and text:
            cut = _leading(text, self.pieces.rules.start[0], self._to_cut)
            self._to_cut = self._to_cut - cut if cut == len(text) else 0
            text = text[cut:]
        character, count = self.pieces.rules.stop
        if not count:
            return text
        text = self._held + text
        held = _leading(text[::-1], character, count)
        self._held = text[len(text) - held :]
        return text[: len(text) - held]


def _flat(decoder: Mapping[str, Any]) -> list[Mapping[str, Any]]:
    if decoder.get("type") == "Sequence":
        return [inner for part in decoder["decoders"] for inner in _flat(part)]
    return [decoder]


def _leading(text: str, character: str, most: int) -> int:
    """How many of the first `most` characters of `text` are `character`."""
    head = text[:most]
    return len(head) - len(head.lstrip(character))


def _strip(character: str, start: int, stop: int) -> Render:
    def render(token: str, _first: bool) -> str:
        token = token[_leading(token, character, start) :]
        return token[: len(token) - _leading(token[::-1], character, stop)]

    return render


def _replace(pattern: Mapping[str, str], content: str) -> Render:
    if "String" in pattern:
        literal = pattern["String"]
        return lambda token, _first: token.replace(literal, content)
    expression = re.compile(pattern["Regex"])
    return lambda token, _first: expression.sub(lambda _: content, token)


def _metaspace(replacement: str, *, prepended: bool) -> Render:
    def render(token: str, first: bool) -> str:
        return token.replace(replacement, "" if first and prepended else " ")

    return render


def _wordpiece(prefix: str, *, cleanup: bool) -> Render:
    def render(token: str, first: bool) -> str:
        if not first:
            token = token.removeprefix(prefix) if token.startswith(prefix) else f" {token}"
        if cleanup:
            for before, after in _CLEANUP:
                token = token.replace(before, after)
        return token

    return render


# What the library's WordPiece decoder tidies up, in its order.
_CLEANUP = (
    (" .", "."), (" ?", "?"), (" !", "!"), (" ,", ","), (" ' ", "'"), (" n't", "n't"), (" 'm", "'m"),
    (" do not", " don't"), (" 's", "'s"), (" 've", "'ve"), (" 're", "'re"),
)  # fmt: skip


def _bytes_of_alphabet() -> dict[str, int]:
    """GPT-2's alphabet: printable Latin-1 stands for itself, the other bytes for the code points from 256 on."""
    printable = [*range(0x21, 0x7F), *range(0xA1, 0xAD), *range(0xAE, 0x100)]
    others = [byte for byte in range(256) if byte not in printable]
    return {chr(byte): byte for byte in printable} | {chr(256 + i): byte for i, byte in enumerate(others)}


BYTE_OF = _bytes_of_alphabet()
