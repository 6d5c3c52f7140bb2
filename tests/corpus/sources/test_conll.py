from __future__ import annotations

import json
import tracemalloc
from pathlib import Path

import pytest

from wenlu.corpus.record import Drop, Item, Record
from wenlu.corpus.sources import SourceSpec, open_source
from wenlu.errors import DataError

NEWS = (
    "-DOCSTART- -X- -X- O\n\n"
    "EU NNP B-NP B-ORG\nrejects VBZ B-VP O\nGerman JJ B-NP B-MISC\ncall NN I-NP O\n. . O O\n\n"
    "Peter NNP B-NP B-PER\nBlackburn NNP I-NP I-PER\n\n"
    "-DOCSTART- -X- -X- O\n\n"
    "# NN B-NP O\n7 CD I-NP O\n"
)
GOOD = "中 O\n国 O\n"


def read(path: Path, **settings: object) -> list[Item]:
    return list(open_source(SourceSpec.model_validate({"path": str(path), **settings})))


def write(tmp_path: Path, content: str, name: str = "rows.conll") -> Path:
    path = tmp_path / name
    path.write_bytes(content.encode())
    return path


def column(items: list[Item], name: str) -> list[object]:
    return [json.loads(item.meta[name]) for item in items if isinstance(item, Record)]


def test_sentences_are_rows_of_columns(tmp_path: Path) -> None:
    columns = ["tokens", "tags", "offsets", "column_0", "column_1", "column_2", "column_3", "document"]
    items = read(write(tmp_path, NEWS), meta=columns)
    assert [(item.id, item.text) for item in items if isinstance(item, Record)] == [
        ("rows.conll:3", "EU rejects German call ."),
        ("rows.conll:9", "Peter Blackburn"),
        ("rows.conll:14", "# 7"),
    ]
    assert column(items, "tags") == [["B-ORG", "O", "B-MISC", "O", "O"], ["B-PER", "I-PER"], ["O", "O"]]
    assert column(items, "column_0") == column(items, "tokens")
    assert column(items, "column_3") == column(items, "tags")
    assert column(items, "column_1")[1:] == [["NNP", "NNP"], ["NN", "CD"]]
    assert column(items, "offsets")[1:] == [[[0, 5], [6, 15]], [[0, 1], [2, 3]]]
    documents = [item.meta["document"] for item in items if isinstance(item, Record)]
    assert documents == ["rows.conll:1", "rows.conll:1", "rows.conll:12"]


@pytest.mark.parametrize("name", ["rows.conll", "rows.iob", "rows.bio"])
def test_chinese_tokens_are_joined_by_nothing(tmp_path: Path, name: str) -> None:
    content = "".join(
        f"{token}\tO\r\n" for token in ["他", "在", "“", "北京", "”", "用", "GPU", "训练", "，", "很", "快"]
    )
    (record,) = read(write(tmp_path, content, name), meta=["tokens", "offsets"])
    assert isinstance(record, Record)
    assert record.text == "他在“北京”用 GPU 训练，很快"
    tokens, offsets = json.loads(record.meta["tokens"]), json.loads(record.meta["offsets"])
    assert [record.text[start:end] for start, end in offsets] == tokens


def test_a_line_with_a_tab_is_parted_by_tabs_alone(tmp_path: Path) -> None:
    items = read(write(tmp_path, "New York\tB-LOC\n\u3000\tO\nsleeps \t O\n"), meta=["tokens", "tags"])
    assert column(items, "tokens") == [["New York", "\u3000", "sleeps"]]
    assert column(items, "tags") == [["B-LOC", "O", "O"]]


def test_a_delimiter_of_its_own_parts_the_columns(tmp_path: Path) -> None:
    items = read(write(tmp_path, "a b|O\n"), delimiter="|", meta=["tokens"])
    assert column(items, "tokens") == [["a b"]]


@pytest.mark.parametrize(
    ("sentence", "id", "message"),
    [
        ("北 O\n京\n", "rows.conll:4", "wrong number of columns: line 5 has 1 of 2 columns"),
        ("北 N O\n", "rows.conll:4", "wrong number of columns: line 4 has 3 of 2 columns"),
        ("北 O\n京\0 O\n", "rows.conll:5", "NUL byte: a NUL byte at byte 22; is it text?"),
        ("北 O\n" * 40, "rows.conll:4", "record too large: a sentence over max_record_bytes = 150"),
        ("北" * 60 + " O\n", "rows.conll:4", "record too large: a sentence over max_record_bytes = 150"),
    ],
)
def test_a_bad_sentence_is_set_aside_and_the_next_is_read(tmp_path: Path, sentence: str, id: str, message: str) -> None:
    path = write(tmp_path, f"{GOOD}\n{sentence}\n{GOOD}")
    good, bad, last = read(path, max_bad_fraction=0.5, max_record_bytes=150)
    assert isinstance(good, Record)
    assert isinstance(bad, Drop)
    assert isinstance(last, Record)
    assert (bad.record.id, bad.reason) == (id, message.partition(":")[0])
    with pytest.raises(DataError) as caught:
        read(path, max_record_bytes=150)
    assert str(caught.value).startswith(f"{id}: {message}")


def test_tokens_without_tags_are_bad(tmp_path: Path) -> None:
    with pytest.raises(DataError, match=r"rows\.conll:1: no tag: line 1 has one column, and a token needs a tag"):
        read(write(tmp_path, "北\n京\n"))


def test_a_missing_column_lists_those_that_there_are(tmp_path: Path) -> None:
    with pytest.raises(DataError, match=r"line 1: no column 'column_2'; .* 'column_0', 'column_1', 'document'\. Name"):
        read(write(tmp_path, GOOD), meta=["column_2"])


def test_wrong_bytes_are_located(tmp_path: Path) -> None:
    path = tmp_path / "rows.conll"
    path.write_bytes("中 O\n国 O\n".encode("gb18030"))
    with pytest.raises(DataError, match=r'rows\.conll, line 1, byte 0: 0xD6 is not utf-8; try encoding = "gb18030"'):
        read(path)
    (record,) = read(path, encoding="gb18030")
    assert isinstance(record, Record)
    assert record.text == "中国"


def test_memory_does_not_grow_with_the_file(tmp_path: Path) -> None:
    path = write(tmp_path, (GOOD * 10 + "\n") * 2_500)
    tracemalloc.start()
    count = sum(1 for _ in open_source(SourceSpec(path=str(path), meta=("tags",))))
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert count == 2_500
    assert peak < 1 << 20


def test_a_sentence_without_end_is_not_held(tmp_path: Path) -> None:
    path = write(tmp_path, GOOD + "\n" + "x O\n" * 100_000)
    tracemalloc.start()
    good, bad = read(path, max_bad_fraction=0.5, max_record_bytes=100_000)
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert isinstance(good, Record)
    assert isinstance(bad, Drop)
    assert peak < 8 << 20
