"""Functions out of Python source: each that has a docstring, as it would stand by itself, is a record.

A row of the columns `text` (the whole function), `prompt` (the imports that it uses, signature and docstring),
`completion` (its body) and `name`; `group` in its meta is the module's dotted path, so that modules can be held out
whole, and in a source of a single file the class or function at its margin. `kind = "python-functions"` asks for it; of
other files in a folder nothing is read.
"""

from __future__ import annotations

from collections.abc import Iterator

from wenlu.corpus.code_prompts import standing_alone
from wenlu.corpus.columns import require_column, to_record
from wenlu.corpus.record import Drop, Record
from wenlu.corpus.source import FileKind, Read, SourceFile, SourceSpec
from wenlu.corpus.sources import python
from wenlu.errors import DataError

_NAMES = ("text", "prompt", "completion", "name")


def _read(file: SourceFile, spec: SourceSpec) -> Iterator[Read]:
    for setting, name in (("text", spec.text), *((spec.setting_of(name), name) for name in spec.meta)):
        require_column(name, _NAMES, setting=setting, where=str(file.path))
    name = file.path.name.lower().removesuffix(".gz").removesuffix(".zst")
    if not name.endswith(python.KIND.suffixes):
        yield Drop(Record("", file.id), "source", "unknown file type")
        return
    for module in python.KIND.read(file, spec):
        if isinstance(module, Record):
            yield from _functions(module, spec, is_alone="/" not in file.id)
        else:
            yield module


def _functions(module: Record, spec: SourceSpec, *, is_alone: bool) -> Iterator[Read]:
    try:
        found = [*standing_alone(module.text, where=module.id)]
    except DataError:
        yield Drop(Record("", module.id), "source", "not Python of this version")
        return
    for function in found:
        row = {
            "text": function.prompt + function.completion,
            "prompt": function.prompt,
            "completion": function.completion,
            "name": function.name,
        }
        again = f"@{function.occurrence + 1}" if function.occurrence else ""
        record = to_record(row, f"{module.id}:{function.name}{again}", spec)
        assert isinstance(record, Record), "a function has all the columns"
        outer = f".{function.name.partition('.')[0]}" if is_alone else ""
        yield Record(record.text, record.id, {**record.meta, "group": f"{module.meta['group']}{outer}"})


KIND = FileKind("python-functions", (), _read, columnar=True)
