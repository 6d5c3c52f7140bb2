from __future__ import annotations

import json
import tracemalloc
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from wenlu.corpus.record import Item, Record
from wenlu.corpus.sources import SourceSpec, open_source
from wenlu.errors import DataError

POEMS = [
    {"title": "静夜思", "paragraphs": ["床前明月光，疑是地上霜。", "举头望明月，低头思故乡。"], "author": "李白"},
    {"title": "登鹳雀楼", "paragraphs": ["白日依山尽，黄河入海流。", "欲穷千里目，更上一层楼。"], "author": "王之涣"},
]


def read(path: Path, **chosen: object) -> list[Item]:
    return list(open_source(SourceSpec.model_validate({"path": str(path), **chosen})))


def write(tmp_path: Path, content: str) -> Path:
    path = tmp_path / "rows.json"
    path.write_text(content)
    return path


def test_a_list_of_strings_is_joined_by_newlines(tmp_path: Path) -> None:
    path = write(tmp_path, json.dumps(POEMS, ensure_ascii=False, indent=2))
    assert read(path, text="paragraphs", meta=["author", "title"]) == [
        Record(
            "床前明月光，疑是地上霜。\n举头望明月，低头思故乡。",
            "rows.json:1",
            {"author": "李白", "title": "静夜思", "source": "rows.json"},
        ),
        Record(
            "白日依山尽，黄河入海流。\n欲穷千里目，更上一层楼。",
            "rows.json:2",
            {"author": "王之涣", "title": "登鹳雀楼", "source": "rows.json"},
        ),
    ]


@pytest.mark.parametrize(
    "content",
    [
        '[{"text": "one"}, {"text": "two"}]',
        '{"text": "one"}\n{"text": "two"}\n',
        ' [ "one" ,\n "two" ] ',
        '\ufeff["one","two"]',
    ],
)
def test_lists_lines_and_strings_are_read(tmp_path: Path, content: str) -> None:
    assert [item.text for item in read(write(tmp_path, content)) if isinstance(item, Record)] == ["one", "two"]


def test_records_may_lie_within(tmp_path: Path) -> None:
    articles = [{"paragraphs": [{"context": "a"}, {"context": "b"}]}, {"paragraphs": [{"context": "c"}]}]
    path = write(tmp_path, json.dumps({"version": "1.1", "data": articles}))
    records = read(path, text="context", within="data.paragraphs")
    assert [(item.id, item.text) for item in records if isinstance(item, Record)] == [
        ("rows.json:1", "a"),
        ("rows.json:2", "b"),
        ("rows.json:3", "c"),
    ]
    with pytest.raises(DataError, match=r"no column 'items'; its columns are 'version', 'data'\. .* 'within'"):
        read(path, within="items")


def test_a_missing_column_lists_those_that_there_are(tmp_path: Path) -> None:
    path = write(tmp_path, json.dumps(POEMS))
    with pytest.raises(
        DataError, match=r"record 1: no column 'text'; its columns are 'title', 'paragraphs', 'author'\. "
    ):
        read(path)


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ('[{"text": "one"},\n {"text": "tw', "line 2: malformed JSON: Unterminated string"),
        ('[{"text": "one"},\n', "line 2: malformed JSON: the file ends too early"),
        ('[{"text": "one"}\n {"text": "two"}]', "line 2: malformed JSON: ',' is expected, not '{'"),
        ('[{"text": "one"}', "line 1: malformed JSON: ',' is expected, not 'the end of the file'"),
        ('["one"]\n["two"]', "line 2: malformed JSON: something follows the list"),
        ('[{"text": "one", "text": "two"}]', "line 1: malformed JSON: the key 'text' stands in it twice"),
        ("[" * 100_000, "line 1: malformed JSON: "),
    ],
)
def test_malformed_json_is_located(tmp_path: Path, content: str, message: str) -> None:
    with pytest.raises(DataError) as caught:
        read(write(tmp_path, content))
    assert f"rows.json, {message}" in str(caught.value)
    assert str(caught.value).endswith(". Is the file whole?")


def test_something_else_than_objects_is_set_aside(tmp_path: Path) -> None:
    with pytest.raises(DataError, match=r"rows\.json:1: not an object: 12 is neither object nor string\."):
        read(write(tmp_path, "[12, 34]"))


def test_a_record_over_the_cap_is_an_error(tmp_path: Path) -> None:
    path = write(tmp_path, json.dumps([{"text": "short"}, {"text": "x" * 400_000}]))
    with pytest.raises(DataError, match="line 1: a record longer than max_record_bytes = 100000; raise it, or write"):
        read(path, max_record_bytes=100_000)


def test_a_long_list_is_read_in_bounded_memory(tmp_path: Path) -> None:
    path = tmp_path / "rows.json"
    row = json.dumps({"text": "x" * 1000})
    with path.open("w") as file:
        file.write("[" + ",\n".join([row] * 20_000) + "]")
    tracemalloc.start()
    count = sum(1 for _ in open_source(SourceSpec(path=str(path))))
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert count == 20_000
    assert peak < 4 << 20


_JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | st.text(),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=3), inner, max_size=3),
    max_leaves=8,
)


_TEXT = st.text(st.characters(exclude_categories=["Cs"], exclude_characters="\0")).map("text {}".format)


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], max_examples=50, deadline=None)
@given(st.lists(st.fixed_dictionaries({"text": _TEXT, "more": _JSON}), min_size=1), st.integers(0, 3))
def test_whatever_the_piece_size_the_values_are_those_of_json(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, rows: list[dict[str, object]], indent: int
) -> None:
    from wenlu.corpus import json_window

    monkeypatch.setattr(json_window, "_PIECE", 1)
    path = tmp_path / "rows.json"
    path.write_text(json.dumps(rows, indent=indent or None))
    kept = [item.text for item in read(path) if isinstance(item, Record)]
    assert kept == [row["text"] for row in rows]
