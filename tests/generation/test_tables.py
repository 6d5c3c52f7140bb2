"""Lines of predictions as tables."""

from __future__ import annotations

import csv
import json
from pathlib import Path
from typing import Any

import pytest

from wenlu.errors import UsageError
from wenlu.generation.tables import check_table, is_table, lines_file, write_table

LINES: list[dict[str, Any]] = [
    {"id": "a", "error": "not JSON"},
    {"id": "b", "prediction": '猫, "dog"', "probability": 0.5, "tokens": 3, "sure": True, "labels": ["x", "y"]},
    {
        "id": "c",
        "prediction": None,
        "probability": 1,
        "tokens": 4,
        "sure": False,
        "labels": [],
        "spans": [{"start": 1}],
    },
]


@pytest.fixture
def lines(tmp_path: Path) -> Path:
    path = tmp_path / "lines.jsonl"
    path.write_text("".join(json.dumps(line) + "\n" for line in LINES))
    return path


@pytest.mark.parametrize(("name", "delimiter"), [("out.csv", ","), ("out.TSV", "\t")])
def test_delimited_tables_have_all_columns_in_the_order_in_which_they_came(
    lines: Path, tmp_path: Path, name: str, delimiter: str
) -> None:
    write_table(lines, tmp_path / name)
    with (tmp_path / name).open(encoding="utf-8", newline="") as file:
        header, *rows = csv.reader(file, delimiter=delimiter)
    assert header == ["id", "error", "prediction", "probability", "tokens", "sure", "labels", "spans"]
    assert rows == [
        ["a", "not JSON", "", "", "", "", "", ""],
        ["b", "", '猫, "dog"', "0.5", "3", "true", '["x", "y"]', ""],
        ["c", "", "", "1", "4", "false", "[]", '[{"start": 1}]'],
    ]


def test_columns_of_parquet_keep_their_kinds(lines: Path, tmp_path: Path) -> None:
    parquet = pytest.importorskip("pyarrow.parquet")
    write_table(lines, tmp_path / "out.parquet")
    table = parquet.read_table(tmp_path / "out.parquet")
    kinds = {field.name: str(field.type) for field in table.schema}
    assert (kinds["probability"], kinds["tokens"], kinds["sure"]) == ("double", "int64", "bool")
    assert table.to_pylist()[1] == {
        "id": "b",
        "error": None,
        "prediction": '猫, "dog"',
        "probability": 0.5,
        "tokens": 3,
        "sure": True,
        "labels": ["x", "y"],
        "spans": None,
    }
    assert json.loads(table.to_pylist()[2]["spans"]) == [{"start": 1}]


def test_vectors_alone_fit_into_a_matrix(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match=r"out.npy: holds vectors alone, which this model does not answer with"):
        check_table(tmp_path / "out.npy", are_vectors=False, overwrite=False)
    check_table(tmp_path / "out.npy", are_vectors=True, overwrite=False)


def test_lines_stand_beside_a_table_until_it_is_whole() -> None:
    assert lines_file(Path("a/out.csv")) == Path("a/out.csv.lines.jsonl")
    assert lines_file(Path("a/out.jsonl")) == Path("a/out.jsonl")
    assert not is_table(Path("out"))
