from __future__ import annotations

from pathlib import Path

import pytest

from wenlu.corpus.record import Drop, Item, Record
from wenlu.corpus.sources import SourceSpec, open_source
from wenlu.errors import DataError


def read(path: Path, **settings: object) -> list[Item]:
    return list(open_source(SourceSpec.model_validate({"path": str(path), **settings})))


def write(tmp_path: Path, content: str, name: str = "rows.csv") -> Path:
    path = tmp_path / name
    path.write_bytes(content.encode())
    return path


def texts(items: list[Item]) -> list[tuple[str, str]]:
    return [(item.id, item.text) for item in items if isinstance(item, Record)]


def test_quoted_cells_hold_newlines_delimiters_and_quotes(tmp_path: Path) -> None:
    path = write(tmp_path, '\ufefftext,author\r\n"one,\r\ntwo ""三""",杜甫\r\n\r\nlast,李白\r\n')
    first, last = read(path, meta=["author"])
    assert first == Record('one,\r\ntwo "三"', "rows.csv:2", {"author": "杜甫", "source": "rows.csv"})
    assert last == Record("last", "rows.csv:5", {"author": "李白", "source": "rows.csv"})


def test_the_delimiter_goes_by_the_suffix(tmp_path: Path) -> None:
    assert texts(read(write(tmp_path, "id\ttext\n1\ta, b\n", "rows.tsv"))) == [("rows.tsv:2", "a, b")]
    assert texts(read(write(tmp_path, "id;text\n1;a, b\n"), delimiter=";")) == [("rows.csv:2", "a, b")]


def test_a_table_without_header_is_given_its_columns(tmp_path: Path) -> None:
    path = write(tmp_path, '\ufeff1\t他说："好。"\t2\t"Fine," he said.\n', "pairs.tsv")
    records = read(path, columns=["id", "zh", "id_en", "en"], text="en", meta=["zh"], quote="")
    assert records == [Record('"Fine," he said.', "pairs.tsv:1", {"zh": '他说："好。"', "source": "pairs.tsv"})]


def test_a_missing_column_lists_those_that_there_are(tmp_path: Path) -> None:
    with pytest.raises(
        DataError, match=r"rows\.csv, line 1: no column 'text'; its columns are 'id', 'review'\. Name one"
    ):
        read(write(tmp_path, "id,review\n1,good\n"))
    with pytest.raises(
        DataError, match=r"no column 'stars'; its columns are 'id', 'text'\. Name one of them in 'meta'"
    ):
        read(write(tmp_path, "id,text\n1,good\n"), meta=["stars"])
    with pytest.raises(DataError, match=r"no column 'text'; its columns are 'a', 'b'"):
        read(write(tmp_path, "1,good\n"), columns=["a", "b"])


def test_a_column_named_twice_is_an_error(tmp_path: Path) -> None:
    with pytest.raises(DataError, match=r"line 1: the column 'text' stands in the header twice; rename one"):
        read(write(tmp_path, "text,text\na,b\n"))


def test_a_row_of_another_width_is_bad(tmp_path: Path) -> None:
    path = write(tmp_path, "id,text\n1,good\n2,a,b\n")
    items = read(path, max_bad_fraction=0.5)
    assert [item.reason for item in items if isinstance(item, Drop)] == ["wrong number of cells"]
    with pytest.raises(
        DataError, match=r"rows\.csv:3: wrong number of cells: 3 cells for 2 columns\. .* 1 of 2 records"
    ):
        read(path)


@pytest.mark.parametrize("content", ['id,text\n1,good\n2,"never closed\n3,x\n', 'id,text\n1,good\n2,"a"b\n'])
def test_an_unbalanced_quote_is_an_error_that_names_its_row(tmp_path: Path, content: str) -> None:
    with pytest.raises(
        DataError, match=r'rows\.csv, line 3: malformed table row \(.+\); set quote = "" if cells are never'
    ):
        read(write(tmp_path, content))


def test_a_long_cell_is_read_and_an_endless_one_is_not(tmp_path: Path) -> None:
    path = write(tmp_path, f"text\n{'x' * 300_000}\n")
    assert len(texts(read(path))[0][1]) == 300_000
    with pytest.raises(
        DataError, match=r"rows\.csv, line 2: longer than max_record_bytes = 1000; raise it, or is this a"
    ):
        read(path, max_record_bytes=1000)


def test_nul_and_wrong_bytes_are_located(tmp_path: Path) -> None:
    with pytest.raises(DataError, match=r"rows\.csv, line 2, byte 6: a NUL byte"):
        read(write(tmp_path, "text\na\0b\n"))
    path = tmp_path / "rows.csv"
    path.write_bytes("text\n中文文本\n".encode("gb18030"))
    with pytest.raises(DataError, match=r'rows\.csv, line 2, byte 5: 0xD6 is not utf-8; try encoding = "gb18030"'):
        read(path)


def test_a_utf_16_table_is_read(tmp_path: Path) -> None:
    path = tmp_path / "rows.csv"
    path.write_bytes("id,text\n1,一Ċ\n".encode("utf-16"))
    assert texts(read(path, encoding="utf-16")) == [("rows.csv:2", "一Ċ")]


def test_a_header_alone_holds_no_records(tmp_path: Path) -> None:
    with pytest.raises(DataError, match=r"rows\.csv: holds no records; is it empty\?"):
        read(write(tmp_path, "id,text\n"))


def test_an_asap_essay_file_is_read_as_it_is(tmp_path: Path) -> None:
    """Tabs, cp1252, essays in quotes with quotes doubled, empty cells for ratings that there are not."""
    names = ["essay_id", "essay_set", "essay", "rater1_domain1", "rater2_domain1", "rater3_domain1", "domain1_score"]
    essays = [
        (1, 1, '"Dear ""local"" newspaper, I think computers help people – really."', 4, 4, "", 8),
        (2, 1, "\x93Computers\x94 aren\x92t bad, @CAPS1 said.", 3, 4, "", 7),
        (2979, 3, '"The ros\xe9 was far.\tHe rode on.\r\nIt was hot."', 1, 2, 2, 2),
    ]
    rows = ["\t".join(names), *("\t".join(map(str, essay)) for essay in essays)]
    path = tmp_path / "training_set_rel3.tsv"
    path.write_bytes("\r\n".join(rows).replace("–", "\x96").encode("latin-1"))
    meta = ["essay_id", "essay_set", "rater1_domain1", "rater3_domain1", "domain1_score"]
    items = read(path, encoding="cp1252", text="essay", meta=meta)
    assert texts(items) == [
        ("training_set_rel3.tsv:2", 'Dear "local" newspaper, I think computers help people – really.'),
        ("training_set_rel3.tsv:3", "“Computers” aren’t bad, @CAPS1 said."),
        ("training_set_rel3.tsv:4", "The rosé was far.\tHe rode on.\r\nIt was hot."),
    ]
    assert [[item.meta[name] for name in meta] for item in items if isinstance(item, Record)] == [
        ["1", "1", "4", "", "8"],
        ["2", "1", "3", "", "7"],
        ["2979", "3", "1", "2", "2"],
    ]
    with pytest.raises(DataError, match=r'line 2, byte 146: 0x96 is not utf-8; try encoding = "cp1252"'):
        read(path, text="essay")


def test_essays_whose_quotes_are_marks_of_their_own_are_read_without_quoting(tmp_path: Path) -> None:
    path = write(tmp_path, 'essay_id\tessay\tdomain1_score\n1\t"Help," he said.\t4\n', "essays.tsv")
    with pytest.raises(DataError, match=r'line 2: malformed table row .* set quote = "" if cells are never quoted'):
        read(path, text="essay")
    assert texts(read(path, text="essay", quote="")) == [("essays.tsv:2", '"Help," he said.')]


def test_lines_above_the_table_are_passed_over(tmp_path: Path) -> None:
    orange = write(tmp_path, "label\ttext\nd\tstring\nclass\t\nsport\ta ball\nart\n", "rows.tab")
    good, bad = read(orange, skip=3, columns=["label", "text"], meta=["label"], max_bad_fraction=1)
    assert isinstance(good, Record)
    assert (good.id, good.text, good.meta["label"]) == ("rows.tab:4", "a ball", "sport")
    assert isinstance(bad, Drop)
    assert bad.record.id == "rows.tab:5"
    with pytest.raises(DataError, match=r"rows\.csv, line 2: no column 'text'; its columns are 'a', 'b'"):
        read(write(tmp_path, "made by hand\na,b\n1,2\n"), skip=1)
