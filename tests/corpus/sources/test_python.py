from __future__ import annotations

import sys
from pathlib import Path

import pytest

from wenlu.corpus.record import Record
from wenlu.corpus.sources import SourceSpec, open_source
from wenlu.errors import DataError


def read(path: Path | str, limit: int | None = None) -> list[Record]:
    return [item for item in open_source(SourceSpec(path=str(path), limit=limit)) if isinstance(item, Record)]


def test_the_coding_line_decides_the_encoding(tmp_path: Path) -> None:
    path = tmp_path / "a.py"
    path.write_bytes("# -*- coding: gb18030 -*-\nname = '文炉'\r\n".encode("gb18030"))
    assert read(path)[0].text == "# -*- coding: gb18030 -*-\nname = '文炉'\n"


def test_wrong_bytes_are_an_error(tmp_path: Path) -> None:
    path = tmp_path / "a.py"
    path.write_bytes(b"# fine\nname = '\xff'\n")
    with pytest.raises(DataError, match=r"a\.py"):
        read(path)
    path.write_bytes(b"# coding: latin-7\n")
    with pytest.raises(DataError, match=r"a\.py: unknown encoding: latin-7; correct its coding line \(PEP 263\)"):
        read(path)


def test_the_group_is_the_path_of_the_module(tmp_path: Path) -> None:
    for name in ("top.py", "pkg/__init__.py", "pkg/inner/mod.py", "__init__.py"):
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).write_text("x = 1\n")
    assert [record.meta["group"] for record in read(tmp_path)] == ["__init__", "pkg", "pkg.inner.mod", "top"]


def test_the_standard_library_is_complete_without_tests_and_near_duplicates() -> None:
    modules = {record.meta["group"]: record for record in read("stdlib")}
    assert {"os", "json", "json.decoder", "asyncio.events", "statistics"} <= modules.keys()
    parts = {part for module in modules for part in module.split(".")[:-1]}
    assert not parts & {"test", "tests", "idle_test", "encodings", "idlelib", "turtledemo", "site-packages"}
    assert modules["this"].id == "stdlib/this.py"
    assert sum(len(record.text) for record in modules.values()) > 5_000_000
    assert not any(sys.prefix in record.text for name, record in modules.items() if name.startswith("_sysconfigdata"))


def test_the_standard_library_comes_in_the_order_of_names() -> None:
    paths = [record.id.split("/") for record in read("stdlib")]
    assert paths == sorted(paths)
