"""Random pairs of texts that share words: English, Chinese, mixed, empty, signs only, emoji."""

from __future__ import annotations

import os
import random

CASES = 1000 if os.environ.get("WENLU_PROOF") == "1" else 60

_ENGLISH = ["the", "a", "cat", "dog", "sat", "on", "mat", "running", "runner", "days", "it's", "well-known", "3.5"]
_ENGLISH += ["U.S.", "No,", "end.", "(so)", "café", "relational", "The", "dog"]
_CHINESE = [
    "今天",
    "天气",
    "很",
    "好",
    "不",
    "的",
    "是",
    "了",
    "北京",
    "大学",
    "在",
    "中国",
    "，",
    "。",
    "！",
    "“",
    "”",
]
_CHINESE += ["《", "》", "；", " ", "3.5", "GPT", "a", "𠮷", "ー", "の", "天气", "好", "今"]
_SIGNS = ["...", "!?", "，", "。", "——", "“", "”", "$", "-", "_"]
_EMOJI = ["😀", "👍🏽", "👩‍🚀", "❤️"]


def draw(rng: random.Random, chinese: bool, *, lines: bool = False) -> str:
    """A text of up to about a dozen words; one in eight is empty, signs only or emoji only."""
    odd = rng.random()
    if odd < 0.03:
        return rng.choice(["", "", " "])
    if odd < 0.125:
        return "".join(rng.choices(_SIGNS if odd < 0.08 else _EMOJI, k=rng.randint(1, 4)))
    words = rng.choices((_CHINESE if chinese else _ENGLISH) + _EMOJI[:1], k=rng.randint(1, 12))
    between = ("" if chinese else " ", "\n") if lines else ("" if chinese else " ",)
    return "".join(word + rng.choices(between, weights=(6, 1)[: len(between)])[0] for word in words).strip()


def near(rng: random.Random, text: str, chinese: bool, *, lines: bool = False) -> str:
    """A text like the given one: some characters dropped or moved, or another text, or the same."""
    kind = rng.randrange(4)
    if kind == 0:
        return draw(rng, chinese, lines=lines)
    if kind == 1:
        return text
    parts = list(text) if chinese else text.split(" ")
    if kind == 2:
        parts = [part for part in parts if rng.random() > 0.25]
    else:
        i = rng.randint(0, len(parts))
        parts = parts[i:] + parts[:i]
    return ("" if chinese else " ").join(parts)


def pairs(seed: int, count: int, chinese: bool, *, lines: bool = False) -> list[tuple[str, str]]:
    """Predictions and references."""
    rng = random.Random(seed)
    references = [draw(rng, chinese, lines=lines) for _ in range(count)]
    return [(near(rng, text, chinese, lines=lines), text) for text in references]
