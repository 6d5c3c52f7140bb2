"""Parquet and Arrow files."""

from __future__ import annotations

from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from wenlu.corpus.record import Drop, Item, Record
from wenlu.corpus.sources import SourceSpec, open_source
from wenlu.errors import DataError

ROWS = [{"text": f"text {i}", "n": i, "lines": ["a", "b"], "other": b"bytes"} for i in range(1000)]


def read(path: Path, **settings: object) -> list[Item]:
    return list(open_source(SourceSpec.model_validate({"path": str(path), **settings})))


@pytest.fixture(params=["parquet", "arrow stream", "arrow file"])
def rows(request: pytest.FixtureRequest, tmp_path: Path) -> Path:
    table = pa.Table.from_pylist(ROWS)
    if request.param == "parquet":
        path = tmp_path / "rows.parquet"
        pq.write_table(table, path, row_group_size=300)
        return path
    path = tmp_path / "rows.arrow"
    new = pa.ipc.new_stream if request.param == "arrow stream" else pa.ipc.new_file
    with new(str(path), table.schema) as writer:
        writer.write_table(table, max_chunksize=300)
    return path


def test_each_row_is_a_record_in_order(rows: Path) -> None:
    records = read(rows, meta=["n"])
    assert records == [
        Record(f"text {i}", f"{rows.name}:{i + 1}", {"n": str(i), "source": rows.name}) for i in range(1000)
    ]


def test_a_column_may_name_the_records(rows: Path) -> None:
    named = [item.id for item in read(rows, id="n") if isinstance(item, Record)]
    assert named == [str(i) for i in range(1000)]
    assert next(item.id for item in read(rows, id="body") if isinstance(item, Record)) == f"{rows.name}:1"


def test_lists_of_strings_are_joined(rows: Path) -> None:
    first = read(rows, text="lines")[0]
    assert isinstance(first, Record)
    assert first.text == "a\nb"


def test_a_missing_column_lists_those_that_there_are(rows: Path) -> None:
    message = r"rows\.\w+: no column 'body'; its columns are 'text', 'n', 'lines', 'other'\. Name one of them in '%s'"
    with pytest.raises(DataError, match=message % "text"):
        read(rows, text="body")
    with pytest.raises(DataError, match=message % "meta"):
        read(rows, meta=["body"])


def test_a_column_of_bytes_is_no_text(rows: Path) -> None:
    with pytest.raises(DataError, match=r"rows\.\w+:1: not text: 'other' holds bytes"):
        read(rows, text="other")


def test_a_row_over_the_cap_is_dropped(tmp_path: Path) -> None:
    pq.write_table(pa.table({"text": ["short", "诗" * 100]}), tmp_path / "a.parquet")
    short, dropped = read(tmp_path / "a.parquet", max_record_bytes=250)
    assert isinstance(short, Record)
    assert isinstance(dropped, Drop)
    assert dropped.reason == "record too large"


@pytest.mark.parametrize("part", [0.2, 0.9])
def test_a_cut_off_file_is_an_error(rows: Path, part: float) -> None:
    data = rows.read_bytes()
    rows.write_bytes(data[: int(len(data) * part)])
    with pytest.raises(DataError, match=r"rows\.\w+, after row \d+: damaged or cut off \w+ file \(.+\); copy it again"):
        read(rows)


@pytest.mark.parametrize("suffix", ["parquet", "arrow"])
def test_memory_does_not_grow_with_the_file(tmp_path: Path, suffix: str) -> None:
    path = tmp_path / f"rows.{suffix}"
    schema = pa.schema([("text", pa.string())])
    new = pq.ParquetWriter if suffix == "parquet" else pa.ipc.new_stream
    with new(str(path), schema) as writer:
        for group in range(30):
            writer.write_table(pa.table({"text": [f"{group} {i} " + "x" * 10_000 for i in range(100)]}, schema))
    before = pa.total_allocated_bytes()
    peak = max(pa.total_allocated_bytes() - before for _ in open_source(SourceSpec(path=str(path))))
    assert path.stat().st_size > 30e6 or suffix == "parquet"
    assert peak < 6e6


@pytest.mark.parametrize("name", ["rows.parquet.gz", "rows.arrow.zst"])
def test_a_further_compression_is_refused(tmp_path: Path, name: str) -> None:
    (tmp_path / name).touch()
    with pytest.raises(DataError, match=r"which cannot be read in parts; decompress it first"):
        read(tmp_path / name)
