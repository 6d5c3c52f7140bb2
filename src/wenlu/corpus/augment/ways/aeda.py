"""Punctuation marks at random places, while every word stays (Karimi, Rossi & Prati 2021, arXiv:2108.13230)."""

from __future__ import annotations

import random
from typing import Literal

from pydantic import Field

from wenlu.corpus.augment.spelt import Spelt
from wenlu.corpus.augment.way import Change, Tables, WayConfig, WayKind

MARKS = {"en": (".", ";", "?", ":", "!", ","), "zh": ("。", "；", "？", "：", "！", "，")}


class AedaConfig(WayConfig):
    """Attributes:
    most: of the number of words at most this share of marks is inserted, and at least one.
    """

    way: Literal["aeda"] = "aeda"
    most: float = Field(default=1 / 3, gt=0, le=1)


def build(config: AedaConfig, tables: Tables) -> Change:  # noqa: ARG001
    def change(text: str, drawn: random.Random) -> str:
        spelt = Spelt.of(text)
        words = len(spelt.words)
        marks = MARKS["zh" if spelt.is_chinese else "en"]
        count = min(words, drawn.randint(1, max(1, int(config.most * words))))
        for place in sorted(drawn.sample(range(words), count), reverse=True):
            spelt.insert(place, drawn.choice(marks))
        return spelt.text

    return change


WAY = WayKind("aeda", AedaConfig, build)
