from __future__ import annotations

from pathlib import Path

import pytest

from wenlu.corpus.record import Drop, Item, Record
from wenlu.corpus.sources import SourceSpec, open_source
from wenlu.errors import DataError


def read(path: Path, **settings: object) -> list[Item]:
    return list(open_source(SourceSpec.model_validate({"path": str(path), **settings})))


def texts(items: list[Item]) -> list[tuple[str, str]]:
    return [(item.id, item.text) for item in items if isinstance(item, Record)]


def reasons(items: list[Item]) -> list[tuple[str, str]]:
    return [(item.record.id, item.reason) for item in items if isinstance(item, Drop)]


@pytest.fixture
def poem(tmp_path: Path) -> Path:
    path = tmp_path / "poem.txt"
    path.write_bytes("\ufeff静夜思\r\n\r\n  床前明月光，\r\n疑是地上霜。\r\n \r\n\r\n举头望明月".encode())
    return path


def test_a_file_is_a_record(poem: Path) -> None:
    assert texts(read(poem)) == [("poem.txt", "静夜思\n\n  床前明月光，\n疑是地上霜。\n \n\n举头望明月")]


def test_a_line_is_a_record_and_blank_ones_are_none(poem: Path) -> None:
    assert texts(read(poem, by="line")) == [
        ("poem.txt:1", "静夜思"),
        ("poem.txt:3", "床前明月光，"),
        ("poem.txt:4", "疑是地上霜。"),
        ("poem.txt:7", "举头望明月"),
    ]


def test_a_paragraph_is_a_record(poem: Path) -> None:
    assert texts(read(poem, by="paragraph")) == [
        ("poem.txt:1", "静夜思"),
        ("poem.txt:3", "床前明月光，\n疑是地上霜。"),
        ("poem.txt:7", "举头望明月"),
    ]


@pytest.mark.parametrize("by", ["file", "line", "paragraph"])
def test_wrong_bytes_are_an_error_in_any_unit(tmp_path: Path, by: str) -> None:
    path = tmp_path / "gb.txt"
    path.write_bytes("first\n中文文本\n".encode("gb18030"))
    with pytest.raises(DataError, match=r'gb\.txt, line 2, byte 6: 0xD6 is not utf-8; try encoding = "gb18030"'):
        read(path, by=by)
    assert "中文文本" in texts(read(path, by=by, encoding="gb18030"))[-1][1]


def test_a_utf_16_file_is_read_by_line(tmp_path: Path) -> None:
    path = tmp_path / "wide.txt"
    path.write_bytes("一\n二Ċ\n".encode("utf-16"))  # Ċ is U+010A: a newline's byte inside a character
    assert texts(read(path, by="line", encoding="utf-16")) == [("wide.txt:1", "一"), ("wide.txt:2", "二Ċ")]


def test_what_is_too_large_is_dropped_by_unit(tmp_path: Path) -> None:
    path = tmp_path / "long.txt"
    path.write_text("short\n" + "x" * 100 + "\n\n" + "seventeen letters\n" * 3 + "\nend\n")
    small = {"max_record_bytes": 40}
    assert reasons(read(path, by="line", **small)) == [("long.txt:2", "record too large")]
    assert reasons(read(path, by="paragraph", **small)) == [
        ("long.txt:2", "record too large"),
        ("long.txt:4", "record too large"),
    ]
    with pytest.raises(DataError, match=r"long\.txt: holds no text; what was read was dropped: record too large \(1\)"):
        read(path, by="file", **small)


def test_nul_bytes_are_an_error_of_a_file_and_a_bad_line_of_many(tmp_path: Path) -> None:
    path = tmp_path / "nul.txt"
    path.write_bytes(b"good\n" * 500 + b"b\0d\n" + b"good\n" * 500)
    with pytest.raises(DataError, match=r"nul\.txt, line 501, byte 2501: a NUL byte, so this is not text"):
        read(path)
    assert reasons(read(path, by="line")) == [("nul.txt:501", "NUL byte")]
    with pytest.raises(DataError, match=r"nul\.txt:501: NUL byte: a NUL byte at byte 2501.* 1 of 1001 records are bad"):
        read(path, by="line", max_bad_fraction=0)


def test_an_empty_file_holds_no_text(tmp_path: Path) -> None:
    (tmp_path / "empty.txt").touch()
    with pytest.raises(DataError, match=r"empty\.txt: holds no text; what was read was dropped: empty \(1\)"):
        read(tmp_path / "empty.txt")
    with pytest.raises(DataError, match=r"empty\.txt: holds no records; is it empty\?"):
        read(tmp_path / "empty.txt", by="line")


def test_a_text_file_has_no_columns(poem: Path) -> None:
    with pytest.raises(DataError, match=r"poem\.txt: a text file has no columns; leave out meta = \['author'\]"):
        read(poem, meta=["author"])


def test_an_unknown_suffix_can_be_read_as_text(tmp_path: Path) -> None:
    path = tmp_path / "notes.log"
    path.write_text("one\n")
    with pytest.raises(DataError, match=r'notes\.log: no known suffix; set kind = "…" for this source: text, markdown'):
        read(path)
    assert texts(read(path, kind="text")) == [("notes.log", "one\n")]
