from __future__ import annotations

import gzip
import json
import tracemalloc
from pathlib import Path

import pytest
import zstandard
from pydantic import ValidationError

from wenlu.corpus.record import Drop, Item, Record
from wenlu.corpus.sources import SourceSpec, open_source
from wenlu.errors import DataError

GOOD = '{"text": "good", "n": 1}\n'


def read(path: Path, **settings: object) -> list[Item]:
    return list(open_source(SourceSpec.model_validate({"path": str(path), **settings})))


def write(tmp_path: Path, content: str) -> Path:
    path = tmp_path / "rows.jsonl"
    path.write_bytes(content.encode(errors="surrogatepass"))
    return path


def test_named_columns_become_meta_as_text(tmp_path: Path) -> None:
    row = {"body": "text", "n": 3, "tags": ["a", "诗"], "none": None, "flag": True, "other": 1}
    path = write(tmp_path, json.dumps(row) + "\n\n" + json.dumps({"body": ["one", "two"]}))
    assert read(path, text="body", meta=["n", "tags", "none", "flag"], name="mine") == [
        Record("text", "mine:1", {"n": "3", "tags": '["a", "诗"]', "flag": "true", "source": "mine"}),
        Record("one\ntwo", "mine:3", {"source": "mine"}),
    ]


@pytest.mark.parametrize("suffix", ["gz", "zst"])
def test_compressed_lines_are_read(tmp_path: Path, suffix: str) -> None:
    content = (GOOD * 3).encode()
    path = tmp_path / f"rows.jsonl.{suffix}"
    path.write_bytes(gzip.compress(content) if suffix == "gz" else zstandard.compress(content))
    assert len(read(path)) == 3


def test_a_missing_column_lists_those_that_there_are(tmp_path: Path) -> None:
    path = write(tmp_path, '{"content": "x", "author": "y"}\n')
    with pytest.raises(DataError) as caught:
        read(path)
    assert str(caught.value) == (
        f"{path}, line 1: no column 'text'; its columns are 'content', 'author'. "
        "Name one of them in 'text' of this source"
    )
    with pytest.raises(
        DataError, match=r"rows\.jsonl: no column 'date'; its columns are 'content', 'author'\. .* 'meta'"
    ):
        read(path, text="content", meta=["date"])


@pytest.mark.parametrize(
    ("line", "reason", "detail"),
    [
        ('{"text": "x"', "malformed JSON", "Expecting ',' delimiter"),
        ('{"text": "x", "text": "y"}', "malformed JSON", "the key 'text' stands in it twice"),
        ("[1, 2]", "not an object", "a line holds one object, not"),
        ('{"other": "x"}', "column missing", "no 'text' in it; it has 'other'"),
        ('{"text": 7}', "not text", "'text' holds int 7, not a string or a list of strings"),
        ('{"text": ["a", 7]}', "not text", "'text' holds list"),
        ("[" * 100_000, "malformed JSON", ""),
        ('{"text": "' + "x" * 200_000 + '"}', "record too large", "longer than max_record_bytes = 150000"),
        ('{"text": "a\0b"}', "malformed JSON", "Invalid control character"),
    ],
)
def test_a_bad_line_is_set_aside_within_the_budget_and_an_error_beyond(
    tmp_path: Path, line: str, reason: str, detail: str
) -> None:
    path = write(tmp_path, GOOD + line + "\n" + GOOD * 998)
    items = read(path, max_record_bytes=150_000)
    assert [(item.record.id, item.reason) for item in items if isinstance(item, Drop)] == [("rows.jsonl:2", reason)]
    assert len(items) == 1000
    with pytest.raises(DataError) as caught:
        read(path, max_record_bytes=150_000, max_bad_fraction=0.0009)
    message = str(caught.value)
    assert message.startswith(f"rows.jsonl:2: {reason}: ")
    assert detail in message
    assert message.endswith(
        "In rows.jsonl, 1 of 1000 records are bad, more than max_bad_fraction = 0.0009; "
        "correct them, or raise it to drop them"
    )


def test_a_hopeless_file_is_refused_early(tmp_path: Path) -> None:
    path = write(tmp_path, GOOD + "no JSON at all\n" * 100_000)
    items = open_source(SourceSpec(path=str(path)))
    assert isinstance(next(items), Record)
    assert all(isinstance(next(items), Drop) for _ in range(99))
    with pytest.raises(DataError, match="100 of 101 records are bad"):
        next(items)


@pytest.mark.parametrize(
    ("row", "reason"),
    [
        ({"text": None}, "no text"),
        ({"text": "  \n"}, "empty"),
        ({"text": []}, "empty"),
        ({"text": "a\0b"}, "NUL character"),
        ({"text": "a\ud800b"}, "unpaired surrogate"),
    ],
)
def test_text_that_no_step_could_use_is_dropped(tmp_path: Path, row: dict[str, object], reason: str) -> None:
    path = write(tmp_path, GOOD + json.dumps(row) + "\n")
    good, dropped = read(path)
    assert isinstance(good, Record)
    assert isinstance(dropped, Drop)
    assert (dropped.record.id, dropped.step, dropped.reason) == ("rows.jsonl:2", "source", reason)


def test_wrong_bytes_are_located(tmp_path: Path) -> None:
    path = tmp_path / "rows.jsonl"
    path.write_bytes(GOOD.encode() + '{"text": "中文"}\n'.encode("gb18030"))
    with pytest.raises(DataError, match=r'rows\.jsonl, line 2, byte 35: 0xD6 is not utf-8; try encoding = "gb18030"'):
        read(path)
    assert len(read(path, encoding="gb18030")) == 2


def test_memory_does_not_grow_with_the_file(tmp_path: Path) -> None:
    path = tmp_path / "rows.jsonl"
    with path.open("w") as file:
        for _ in range(10_000):
            file.write('{"text": "' + "x" * 2000 + '"}\n')
    tracemalloc.start()
    count = sum(1 for _ in open_source(SourceSpec(path=str(path))))
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert count == 10_000
    assert peak < 1 << 20


def test_an_empty_file_holds_no_records(tmp_path: Path) -> None:
    with pytest.raises(DataError, match=r"rows\.jsonl: holds no records; is it empty\?"):
        read(write(tmp_path, "\n\n"))


def test_a_source_may_call_its_columns_otherwise(tmp_path: Path) -> None:
    path = write(tmp_path, '{"review": "good", "stars": 5, "page": 1}\n')
    (record,) = read(path, rename={"review": "text", "stars": "label"}, meta=["label", "page"])
    assert isinstance(record, Record)
    assert record == Record("good", "rows.jsonl:1", {"label": "5", "page": "1", "source": "rows.jsonl"})
    with pytest.raises(DataError, match="no column 'body'; its columns are 'review', 'stars', 'page'"):
        read(path, rename={"body": "text"})
    with pytest.raises(ValidationError, match="two columns would be called 'text'"):
        read(path, rename={"review": "text", "page": "text"})
