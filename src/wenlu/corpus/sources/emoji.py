"""Emoji of one style, of the packages `emoji-datasource-…`, with their names in one of 27 languages.

`text` is the language of the names (`"en"` by default), or `"name"` for the English ones of the package itself. `meta`
may keep `name`, `emoji`, `unified`, `category`, `subcategory`, `style`, `base` (the emoji without its skin tone), the
names in other languages (`"zh"`), and keywords (`"zh-keywords"`).
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from functools import lru_cache
from pathlib import Path
from typing import Any

from wenlu.corpus.pictures.reference import PICTURE
from wenlu.corpus.reading import reading
from wenlu.corpus.record import Drop, Record
from wenlu.corpus.source import FileKind, Read, SourceFile, SourceSpec
from wenlu.errors import DataError
from wenlu.hub import package_file

_NAMES = "emojibase-data"
_KEYWORDS = "-keywords"
_COLUMNS = ("name", "emoji", "unified", "category", "subcategory", "style", "base")
_VARIATION = 0xFE0F


def _read(file: SourceFile, spec: SourceSpec) -> Iterator[Read]:
    rows = _rows(file.path)
    style = next((path.name for path in sorted((file.path.parent / "img").glob("*")) if path.is_dir()), "")
    named = {column: _names(column) for column in (_language(spec), *spec.meta) if column not in _COLUMNS}
    for row, base in rows:
        unified = str(row["unified"])
        id, key = f"{file.id}:{unified}", _key(unified)
        name = str(base.get("name") or "").lower()
        text = name if spec.text == "name" else named[_language(spec)].get(key)
        if not row.get(f"has_img_{style}") or not text:
            why = "no name in this language" if not text else "not drawn in this style"
            yield Drop(Record("", id), "source", why)
            continue
        told = {
            "name": name,
            "emoji": "".join(chr(int(code, 16)) for code in unified.split("-")),
            "unified": unified,
            "category": str(base.get("category", "")),
            "subcategory": str(base.get("subcategory", "")),
            "style": style,
            "base": str(base["unified"]),
            **{column: names[key] for column, names in named.items() if key in names},
        }
        meta = {column: told[column] for column in spec.meta if told.get(column)}
        yield Record(text, id, {**meta, PICTURE: f"img/{style}/64/{row['image']}"})


def _language(spec: SourceSpec) -> str:
    return "en" if spec.text == "text" else spec.text


def _rows(path: Path) -> list[tuple[dict[str, Any], dict[str, Any]]]:
    """Each emoji, and the one that it is a skin tone of, or itself."""
    with reading(path):
        data = path.read_bytes()
    try:
        found = json.loads(data)
        rows = [(row, base) for base in found for row in (base, *base.get("skin_variations", {}).values())]
        assert all(isinstance(row["unified"], str) and isinstance(row["image"], str) for row, _ in rows)
        for row, _ in rows:
            _key(row["unified"])
    except (ValueError, LookupError, TypeError, AttributeError, AssertionError, RecursionError) as error:
        raise DataError(f"{path}: not the list of an emoji-datasource package; is it emoji.json, and whole?") from error
    if not rows:
        raise DataError(f"{path}: an empty list of emoji")
    return rows


@lru_cache(maxsize=64)
def _names(column: str) -> dict[tuple[int, ...], str]:
    """By the code points of an emoji: its name in a language, or with `-keywords` its keywords."""
    language = column.removesuffix(_KEYWORDS)
    if not language.replace("-", "").isalpha() or language == "meta":
        raise DataError(f"emoji have no {column!r}; there are {', '.join(_COLUMNS)}, and languages such as 'zh'")
    path = package_file(_NAMES, f"{language}/data.json")
    names: dict[tuple[int, ...], str] = {}
    for base in json.loads(path.read_bytes()):
        for row in (base, *base.get("skins", ())):
            said = ", ".join(row.get("tags", base.get("tags", ()))) if column.endswith(_KEYWORDS) else row["label"]
            names[_key(row["hexcode"])] = said
    return names


def _key(codes: str) -> tuple[int, ...]:
    """The code points without the one that asks for a picture, which packages write or leave out."""
    return tuple(code for code in (int(part, 16) for part in codes.split("-")) if code != _VARIATION)


KIND = FileKind("emoji", (), _read, columnar=True, shows=True)
