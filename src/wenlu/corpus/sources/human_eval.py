"""Functions to write with tests to pass: the JSON Lines of HumanEval (Chen et al. 2021, arXiv:2107.03374).

A row of the columns `prompt` (also `text`), `completion` (a body that is right), `unit_tests` (source that defines
`check(candidate)`), `entry_point` (the function's name) and `name`. `kind = "human-eval"` asks for it.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace

from wenlu.corpus.columns import require_column
from wenlu.corpus.record import Record
from wenlu.corpus.source import FileKind, Read, SourceFile, SourceSpec
from wenlu.corpus.sources import jsonl

_NAMES = {
    "text": "prompt",
    "prompt": "prompt",
    "completion": "canonical_solution",
    "unit_tests": "test",
    "entry_point": "entry_point",
    "name": "task_id",
}


def _read(file: SourceFile, spec: SourceSpec) -> Iterator[Read]:
    for setting, name in (("text", spec.text), *((spec.setting_of(name), name) for name in spec.meta)):
        require_column(name, _NAMES, setting=setting, where=str(file.path))
    theirs = tuple(dict.fromkeys(_NAMES[name] for name in spec.meta))
    for item in jsonl.KIND.read(file, spec.model_copy(update={"text": _NAMES[spec.text], "meta": theirs})):
        if isinstance(item, Record):
            meta = {name: item.meta[_NAMES[name]] for name in spec.meta if _NAMES[name] in item.meta}
            yield replace(item, meta=meta)
        else:
            yield item


KIND = FileKind("human-eval", (), _read, columnar=True)
