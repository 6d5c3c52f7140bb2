"""Words as people count them, and Chinese words."""

from __future__ import annotations

import re

from wenlu.errors import MissingExtra

HAN = "\u3005\u3007\u3400-\u4dbf\u4e00-\u9fff\uf900-\ufaff\U00020000-\U000323af"
_HAN = re.compile(f"[{HAN}]")
_HAN_RUN = re.compile(f"[{HAN}]+")
_INSIDE_A_WORD = re.compile(rf"[^\s{HAN}]{{2}}")
_AT_ONCE = 1 << 20


def count_words(text: str) -> int:
    """Words between whitespace, as `wc -w` counts them; each Chinese character counts as one word."""
    if len(text) <= _AT_ONCE:
        return _count(text)
    cuts = range(_AT_ONCE, len(text), _AT_ONCE)
    twice = sum(1 for cut in cuts if _INSIDE_A_WORD.fullmatch(text, cut - 1, cut + 1))
    return sum(_count(text[start : start + _AT_ONCE]) for start in (0, *cuts)) - twice


def _count(text: str) -> int:
    if text.isascii() or not _HAN.search(text):
        return len(text.split())
    others, runs = _HAN_RUN.subn(" ", text)
    return len(text) - (len(others) - runs) + len(others.split())


def han_share(text: str) -> float:
    """Chinese characters among all letters of `text`, from 0 to 1; 0 without letters."""
    letters = sum(map(str.isalpha, text))
    return len(_HAN.findall(text)) / letters if letters else 0.0


def chinese_words(text: str) -> list[str]:
    """`text` cut into words by rjieba's dictionary, nothing lost; raises MissingExtra without it."""
    try:
        import rjieba
    except ModuleNotFoundError as error:
        raise MissingExtra("rjieba", extra="lang-zh", purpose="find Chinese words") from error
    return rjieba.cut(text, False)
