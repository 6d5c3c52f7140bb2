"""Rows of good and bad files."""

from __future__ import annotations

import io

import pytest

from wenlu.errors import DataError
from wenlu.generation import rows as rows_module
from wenlu.generation.rows import BadRow, Format, Row, read_rows


def read(content: bytes, format: Format, column: str = "auto") -> list[Row | BadRow]:
    return list(read_rows(io.BytesIO(content), name="in", format=format, column=column))


def test_a_text_file_has_a_prompt_a_line_and_blank_lines_are_none() -> None:
    content = "first\r\n\n  \n第二行 \nlast".encode()
    assert read(content, "txt") == [Row("in:1", "first"), Row("in:4", "第二行 "), Row("in:5", "last")]


def test_a_byte_order_mark_is_no_text() -> None:
    assert read(b"\xef\xbb\xbfa\n", "txt") == [Row("in:1", "a")]
    assert read(b'\xef\xbb\xbf{"text": "a"}\n', "jsonl") == [Row("in:1", "a")]
    assert read(b"\xef\xbb\xbftext\na\n", "csv") == [Row("in:2", "a")]


def test_a_line_that_is_not_utf_8_is_a_bad_row_among_good_ones() -> None:
    assert read(b"ok\nab\xff\nok2\n", "txt") == [
        Row("in:1", "ok"),
        BadRow("in:2", "not UTF-8 text (byte 3 of the line)"),
        Row("in:3", "ok2"),
    ]


@pytest.mark.parametrize("format", ["txt", "jsonl", "csv"])
def test_a_utf_16_file_is_refused_as_a_whole(format: Format) -> None:
    with pytest.raises(DataError, match="in: UTF-16 text; save the file as UTF-8"):
        read("text\nabc\n".encode("utf-16"), format)


def test_a_line_beyond_the_limit_is_a_bad_row_and_the_next_line_is_read(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(rows_module, "MAX_ROW_BYTES", 1 << 20)
    content = b"a\n" + b"x" * (5 << 20) + b"\nb\n"
    assert read(content, "txt") == [Row("in:1", "a"), BadRow("in:2", "longer than 1 MiB"), Row("in:3", "b")]


@pytest.mark.parametrize("extra", [-1, 0, 1])
def test_the_limit_of_a_line_is_exact(monkeypatch: pytest.MonkeyPatch, extra: int) -> None:
    monkeypatch.setattr(rows_module, "MAX_ROW_BYTES", 1 << 20)
    found = read(b"x" * ((1 << 20) - 1 + extra) + b"\nb", "txt")
    assert [type(row) for row in found] == [BadRow if extra > 0 else Row, Row]
    assert found[1] == Row("in:2", "b")


def test_jsonl_takes_prompt_before_text_and_keeps_ids() -> None:
    content = b'{"id": "p7", "prompt": "a", "text": "b"}\n\n{"text": "c", "id": 12}\n'
    assert read(content, "jsonl") == [Row("p7", "a"), Row("12", "c")]


def test_a_list_of_messages_is_a_conversation() -> None:
    talk = '[{"role": "system", "content": "S"}, {"role": "user", "content": "hello"}]'
    sharegpt = '[{"from": "human", "value": "hi"}, {"from": "gpt", "value": "yes"}, {"from": "human", "value": "no"}]'
    content = f'{{"messages": {talk}}}\n{{"id": 7, "conversations": {sharegpt}}}\n{{"messages": [{{"role": "x"}}]}}\n'
    first, second, bad = read(content.encode(), "jsonl")
    assert isinstance(first, Row)
    assert isinstance(second, Row)
    assert (first.id, first.prompt, first.messages) == (
        "in:1",
        "hello",
        ({"role": "system", "content": "S"}, {"role": "user", "content": "hello"}),
    )
    assert [message["role"] for message in second.messages] == ["user", "assistant", "user"]
    assert isinstance(bad, BadRow)
    assert bad.error.startswith('turn 1: the role "x" is unknown')


def test_tabs_part_the_columns_of_a_tsv_file() -> None:
    assert read(b"id\ttext\n1\ta, b\n", "tsv") == [Row("1", "a, b")]


def test_jsonl_takes_the_column_that_is_asked_for() -> None:
    assert read(b'{"prompt": "a", "question": "b"}', "jsonl", "question") == [Row("in:1", "b")]


@pytest.mark.parametrize(
    ("line", "error"),
    [
        ('{"text": "a"', "not JSON: Expecting ',' delimiter at character 13"),
        ("[1]", "a JSON array, not an object with a prompt"),
        ("null", "a JSON null, not an object with a prompt"),
        ('{"body": "a", "n": 1}', "no prompt or text among body, n; name the prompt's with column=NAME"),
        ("{}", "no prompt or text among no keys; name the prompt's with column=NAME"),
        ('{"text": 3.5}', "text: a JSON number, not text"),
        ('{"text": true}', "text: a JSON boolean, not text"),
        ('{"text": "\\ud83d"}', "text: half of a surrogate pair, which is no character"),
        ("[" * 100_000, "JSON nested too deeply"),
    ],
)
def test_a_bad_json_line_says_what_is_wrong(line: str, error: str) -> None:
    content = f'{{"text": "before"}}\n{line}\n{{"text": "after"}}'.encode()
    assert read(content, "jsonl") == [Row("in:1", "before"), BadRow("in:2", error), Row("in:3", "after")]


def test_csv_fields_may_hold_commas_quotes_and_line_ends() -> None:
    content = b'id,prompt\n1,"a, ""b""\nc"\nx,d\n'
    assert read(content, "csv") == [Row("1", 'a, "b"\nc'), Row("x", "d")]


def test_bad_csv_rows_stand_between_good_ones() -> None:
    content = b'n,text\n1,a\n2,b,c\n3,"d"e\n4,\xff\n5,' + b"x" * 200_000 + b"\n6,f\n"
    assert read(content, "csv") == [
        Row("in:2", "a"),
        BadRow("in:3", "3 fields, the header has 2"),
        BadRow("in:4", "not CSV: ',' expected after '\"'"),
        BadRow("in:5", "text: not UTF-8 text"),
        Row("in:6", "x" * 200_000),
        Row("in:7", "f"),
    ]


def test_an_open_quote_at_the_end_of_a_csv_file_is_a_bad_row() -> None:
    assert read(b'text\na\n"b\n', "csv") == [Row("in:2", "a"), BadRow("in:3", "not CSV: unexpected end of data")]


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"a,b\n1,2\n", "in: no prompt or text among a, b; name the prompt's with column=NAME"),
        (b"text,text\n1,2\n", "in: column text stands 2 times in the header; rename all but one"),
        (b'"text\n', "in: line 1: not CSV: unexpected end of data"),
    ],
)
def test_a_csv_file_without_one_column_for_the_prompt_is_refused(content: bytes, message: str) -> None:
    with pytest.raises(DataError, match=message.replace("(", r"\(")):
        read(content, "csv")


@pytest.mark.parametrize("format", ["txt", "jsonl", "csv"])
def test_an_empty_file_has_no_rows(format: Format) -> None:
    assert read(b"", format) == []
