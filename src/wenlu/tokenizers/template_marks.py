"""Mark special tokens in what people wrote, so that they stay text where a chat template copies them."""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass


def opening_breaker(tokens: Sequence[str], mark: str) -> Callable[[str], str]:
    """Break whatever begins like a special token: the next piece of text might complete it."""
    starts = sorted({re.escape(token[:2]) for token in tokens})
    ends = sorted({re.escape(token[0]) for token in tokens})
    if not starts:
        return lambda text: text
    pattern = re.compile(f"({'|'.join(starts)})|({'|'.join(ends)})\\Z")
    return lambda text: pattern.sub(lambda found: f"{found[0][0]}{mark}{found[0][1:]}", text)


def first_breaker(tokens: Sequence[str], mark: str) -> Callable[[str], str]:
    """Part each character that a special token begins with from what follows it."""
    firsts = "".join({re.escape(token[0]) for token in tokens})
    if not firsts:
        return lambda text: text
    pattern = re.compile(f"[{firsts}]")
    return lambda text: pattern.sub(lambda found: f"{found[0]}{mark}", text)


def breaker(tokens: Sequence[str], mark: str) -> Callable[[str], str]:
    """Break only whole special tokens, and one that a text ends within, for templates that look into texts."""
    if not tokens:
        return lambda text: text
    pattern = re.compile("|".join(re.escape(token[0]) + f"(?={re.escape(token[1:])})" for token in tokens))

    def change(text: str) -> str:
        for at in range(max(0, len(text) - len(tokens[0])), len(text)):
            if any(token.startswith(text[at:]) for token in tokens):
                text = text[: at + 1] + mark + text[at + 1 :]
                break
        return pattern.sub(lambda found: f"{found[0]}{mark}", text)

    return change


@dataclass(frozen=True)
class Fences:
    """Marks around whole special tokens, beyond the white space beside them, for templates that take the tokens out.

    The token itself stays whole, so that the template finds it; where it is copied, it stands between its marks.

    Attributes:
        left, right: stand around a token.
        first, last: stand in for `right` behind a token that a text begins with, and for `left` before one that it
            ends with; different ones leave the outer side of such a token free for `startswith` and `endswith`.
    """

    tokens: Sequence[str]
    left: str
    right: str
    first: str
    last: str

    def put(self, text: str) -> str:
        """Into what people wrote."""
        parts: list[str] = []
        at = 0
        for found in re.finditer(self._any, text):
            begin, end = found.span()
            while begin > at and text[begin - 1].isspace():
                begin -= 1
            while end < len(text) and text[end].isspace():
                end += 1
            parts += [text[at:begin], *self._around(text[begin:end], begin == 0, end == len(text))]
            at = end
        return "".join([*parts, text[at:]])

    def _around(self, token: str, begins: bool, ends: bool) -> tuple[str, str, str]:
        if self.first == self.left or begins == ends:
            return self.left, token, self.right
        return ("", token, self.first) if begins else (self.last, token, "")

    def removed(self, text: str) -> str:
        return re.sub(f"[{self.left}{self.right}{self.first}{self.last}]", "", text)

    def broken(self, text: str, mark: str) -> str:
        """Break each token that still stands between its marks."""
        token = f"({self._any})"
        pattern = (
            f"{self.left}\\s*{token}\\s*{self.right}|{token}(?=\\s*{self.first})|{self.last}\\s*{token}"
            if self.first != self.left
            else f"{self.left}\\s*{token}\\s*{self.right}"
        )

        def inside(found: re.Match[str]) -> str:
            assert found.lastindex is not None, "each alternative has a group"
            word = found[found.lastindex]
            return found[0].replace(word, f"{word[0]}{mark}{word[1:]}")

        return re.sub(pattern, inside, text)

    def without(self, text: str) -> str:
        """What people wrote with a mark in place of each token."""
        return re.sub(self._any, self.left, text)

    @property
    def _any(self) -> str:
        return "|".join(re.escape(token) for token in self.tokens)
