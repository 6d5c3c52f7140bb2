"""Chinese characters that look alike, as those who write by hand or read a scan mistake them."""

from __future__ import annotations

import random
from collections import defaultdict
from collections.abc import Iterator
from functools import cache
from pathlib import Path
from typing import Literal

from pydantic import Field

from wenlu import hub
from wenlu.corpus.augment.common_characters import common_characters, is_traditional
from wenlu.corpus.augment.synonyms import SynonymGroups
from wenlu.corpus.augment.way import Change, Tables, WayConfig, WayKind

SOURCE = "package:rime-data-cangjie5/usr/share/rime-data/cangjie5.dict.yaml"
_BODY = 3
"""The last letters of a Cangjie code, which say what stands right or below in a character that is of two parts."""


class ShapesConfig(WayConfig):
    """Which look alike is told by their Cangjie codes: the same parts in another order, or the same right or
    lower half.

    Only common characters stand in the place of others.

    Attributes:
        alpha: share of the Chinese characters that change.
        table: "auto" is the table of codes in a package of Debian; else a file of yours, with a group of characters
            that look alike on a line.
    """

    way: Literal["shapes"] = "shapes"
    alpha: float = Field(default=0.05, gt=0, lt=1)
    table: str = "auto"


def build(config: ShapesConfig, tables: Tables) -> Change:  # noqa: ARG001
    if config.table == "auto":
        path = hub.resolve(SOURCE).path
        alike = {traditional: _by_codes(path, traditional=traditional) for traditional in (False, True)}
    else:
        groups = SynonymGroups.read(hub.resolve(config.table).path, of_characters=True)
        alike = {traditional: dict(groups.groups) for traditional in (False, True)}

    def change(text: str, drawn: random.Random) -> str:
        table = alike[is_traditional(text)]
        return "".join(
            drawn.choice(table[character]) if character in table and drawn.random() < config.alpha else character
            for character in text
        )

    return change


@cache
def _by_codes(path: Path, *, traditional: bool) -> dict[str, tuple[str, ...]]:
    """Common characters that look like each."""
    codes, common = _codes(path), common_characters(traditional=traditional)
    families: defaultdict[tuple[str, str], list[str]] = defaultdict(list)
    for character in sorted(common & codes.keys()):
        for family in _families(codes[character]):
            families[family].append(character)
    found = {}
    for character, code in codes.items():
        others = dict.fromkeys(other for family in _families(code) for other in families.get(family, ()))
        others.pop(character, None)
        if others:
            found[character] = tuple(others)
    return found


def _families(code: str) -> Iterator[tuple[str, str]]:
    yield "parts", "".join(sorted(code))
    if len(code) > _BODY:
        yield "body", code[-_BODY:]


def _codes(path: Path) -> dict[str, str]:
    """The first code of each character, of lines `character<TAB>code` behind the table's head."""
    _, _, body = path.read_text(encoding="utf-8").partition("\n...\n")
    found: dict[str, str] = {}
    for line in body.splitlines():
        character, tab, rest = line.partition("\t")
        code = rest.partition("\t")[0]
        if tab and len(character) == 1 and code.isalpha() and not code.startswith(("x", "z")):
            found.setdefault(character, code)
    return found


WAY = WayKind("shapes", ShapesConfig, build)
