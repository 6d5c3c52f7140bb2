"""Translations in two text files with as many lines, as Moses and OPUS keep them: `corpus.en` and `corpus.zh`.

`path` is the file in the source language, or a glob of such files; `languages` names the two, and the other file is
the one of the same name with the other language in it. So a source is still one path, and what holds for paths (globs,
packages, .gz) holds here. A line is a row of the columns `text` and `source`, `target`, `source_language`,
`target_language`.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import ExitStack
from itertools import zip_longest
from pathlib import Path

from wenlu.corpus.columns import to_record
from wenlu.corpus.language_pair import pair_row, require_pair_columns
from wenlu.corpus.reading import Line, decode, line_encoding, lines, open_text_bytes
from wenlu.corpus.record import Drop, Record
from wenlu.corpus.source import Bad, FileKind, Read, SourceFile, SourceSpec
from wenlu.errors import DataError


def other_side(path: Path, spec: SourceSpec) -> Path:
    """The file in the target language beside `path`; raises DataError where the names do not tell which it is."""
    if not spec.languages:
        raise DataError(
            f'{path}: kind "moses" needs its two languages, as the files are named: languages = ["en", "zh"]'
        )
    source, target = spec.languages
    parts = path.name.split(".")
    if source not in parts[1:]:
        raise DataError(
            f"{path}: not a file of the source language {source!r}, as its name has no .{source}; "
            f'name those files alone, for example with a glob: path = "folder/*.{source}"'
        )
    last = len(parts) - 1 - parts[::-1].index(source)
    return path.with_name(".".join([*parts[:last], target, *parts[last + 1 :]]))


def _read(file: SourceFile, spec: SourceSpec) -> Iterator[Read]:
    require_pair_columns(file, spec)
    paths = (file.path, other_side(file.path, spec))
    counts = [0, 0]
    with ExitStack() as stack:
        sides = [stack.enter_context(open_text_bytes(path, spec.encoding)) for path in paths]
        for left, right in zip_longest(*(lines(side, spec.max_record_bytes) for side in sides)):
            if left and right:
                yield _item((left, right), paths, f"{file.id}:{left.number}", spec)
            counts = [line.number if line else count for line, count in zip((left, right), counts, strict=True)]
    if counts[0] != counts[1]:
        raise DataError(
            f"{paths[0]} has {counts[0]:,} lines and {paths[1].name} has {counts[1]:,}, so that they are not "
            "translations of each other line by line; are both whole?"
        )


def _item(pair: tuple[Line, Line], paths: tuple[Path, Path], id: str, spec: SourceSpec) -> Read:
    texts: list[str] = []
    encoding = line_encoding(spec.encoding)
    for line, path in zip(pair, paths, strict=True):
        if line.data is None:
            return Bad(id, "record too large", f"in {path.name} longer than max_record_bytes = {spec.max_record_bytes}")
        if b"\0" in line.data:
            return Bad(id, "NUL byte", f"in {path.name}, byte {line.offset + line.data.index(0)}; is it text?")
        texts.append(decode(line.data, encoding, path=path, line=line.number, offset=line.offset).strip())
    if texts[0] and not texts[1]:
        return Drop(Record("", id), "source", "untranslated")
    return to_record(pair_row(*zip(spec.languages, texts, strict=True)), id, spec)


KIND = FileKind("moses", (), _read, columnar=True)
