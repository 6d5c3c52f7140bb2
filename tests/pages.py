"""The blocks of code of a page of the documentation."""

from __future__ import annotations

import re
from dataclasses import dataclass
from pathlib import Path

_BLOCK = re.compile(r"^```(\w+)\n(.*?)^```$", re.DOTALL | re.MULTILINE)
_COMMENT = re.compile(r"[ \t]*(?<!\S)#(?! \w+\.toml$).*$", re.MULTILINE)


@dataclass(frozen=True)
class Block:
    """What stands between two fences, and the word behind the first."""

    kind: str
    code: str

    @property
    def without_comments(self) -> str:
        """Languages differ in nothing else; the comment that names a recipe's file is none."""
        return self.code if self.kind == "text" else _COMMENT.sub("", self.code)


def blocks_of(text: str) -> list[Block]:
    return [Block(kind, code) for kind, code in _BLOCK.findall(text)]


def sections_of(page: Path) -> dict[str, str]:
    """By heading, what stands below each `##`."""
    parts = re.split(r"^## (.*)$", page.read_text(encoding="utf-8"), flags=re.MULTILINE)[1:]
    return dict(zip(parts[::2], parts[1::2], strict=True))
