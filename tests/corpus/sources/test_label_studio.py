from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from wenlu.corpus.record import Drop, Item, Record
from wenlu.corpus.sources import SourceSpec, open_source
from wenlu.errors import DataError

COLUMNS = ("id", "label", "entities", "score", "annotators")


def choices(*labels: str, name: str = "sentiment") -> dict[str, Any]:
    return {"from_name": name, "to_name": "text", "type": "choices", "value": {"choices": list(labels)}}


def span(start: int, end: int, text: str | None, *labels: str) -> dict[str, Any]:
    value = {"start": start, "end": end, "labels": list(labels)} | ({} if text is None else {"text": text})
    return {"id": "x", "from_name": "label", "to_name": "text", "type": "labels", "value": value}


def rating(value: object, type: str = "rating") -> dict[str, Any]:
    return {"from_name": "stars", "to_name": "text", "type": type, "value": {type: value}}


def task(text: str, *results: dict[str, Any], **more: object) -> dict[str, Any]:
    return {
        "id": 7,
        "data": {"text": text, "shop": "北京"},
        "annotations": [{"id": 1, "result": list(results)}],
        **more,
    }


def read(tmp_path: Path, *tasks: Any, **settings: object) -> list[Item]:
    path = tmp_path / "rows.json"
    path.write_text(json.dumps(tasks, ensure_ascii=False))
    spec = {"path": str(path), "kind": "label-studio", "meta": COLUMNS, **settings}
    return list(open_source(SourceSpec.model_validate(spec)))


def columns(tmp_path: Path, *tasks: Any, **settings: object) -> dict[str, str]:
    (item,) = read(tmp_path, *tasks, **settings)
    assert isinstance(item, Record)
    return dict(item.meta)


def test_a_task_is_a_record_with_what_was_marked(tmp_path: Path) -> None:
    results = [span(6, 8, "上海", "LOC"), span(0, 2, "王芳", "PER", "NAME"), choices("好"), rating(4)]
    (item,) = read(tmp_path, task("王芳昨天住在上海。", *results), meta=[*COLUMNS, "shop", "sentiment", "stars"])
    entities = [
        {"start": 0, "end": 2, "label": "PER"},
        {"start": 0, "end": 2, "label": "NAME"},
        {"start": 6, "end": 8, "label": "LOC"},
    ]
    assert item == Record(
        "王芳昨天住在上海。",
        "rows.json:1",
        {
            "id": "7",
            "label": "好",
            "entities": json.dumps(entities),
            "score": "4",
            "annotators": "1",
            "shop": "北京",
            "sentiment": "好",
            "stars": "4",
            "source": "rows.json",
        },
    )


def test_several_choices_are_a_list(tmp_path: Path) -> None:
    assert columns(tmp_path, task("x", choices("a", "乙")))["label"] == '["a", "乙"]'


def test_each_question_is_a_column_and_the_first_is_the_label(tmp_path: Path) -> None:
    asked = task("x", choices("a"), choices("b", name="topic"))
    found = columns(tmp_path, asked, meta=["label", "sentiment", "topic"])
    assert (found["label"], found["sentiment"], found["topic"]) == ("a", "a", "b")


def test_a_number_is_a_score(tmp_path: Path) -> None:
    assert columns(tmp_path, task("x", rating(2.5, "number")))["score"] == "2.5"


def test_the_first_annotator_that_did_not_cancel_counts(tmp_path: Path) -> None:
    annotations = [
        {"result": [choices("no")], "was_cancelled": True},
        {"result": [choices("first")], "was_cancelled": False},
        {"result": [choices("second")]},
    ]
    found = columns(tmp_path, task("x", annotations=annotations))
    assert (found["label"], found["annotators"]) == ("first", "2")


def test_a_task_that_nobody_annotated_is_dropped(tmp_path: Path) -> None:
    cancelled = task("x", annotations=[{"result": [], "was_cancelled": True}])
    items = read(tmp_path, task("y"), cancelled, task("z", annotations=[]))
    assert [item.reason for item in items if isinstance(item, Drop)] == ["not annotated"] * 2


@pytest.mark.parametrize(("start", "end"), [(2, 4), (3, 5)])
def test_spans_are_those_of_python_whoever_counted_them(tmp_path: Path, start: int, end: int) -> None:
    found = columns(tmp_path, task("😀在上海", span(start, end, "上海", "LOC")))
    assert json.loads(found["entities"]) == [{"start": 2, "end": 4, "label": "LOC"}]


def test_a_newline_may_be_written_as_two_characters(tmp_path: Path) -> None:
    found = columns(tmp_path, task("a\nb", span(0, 3, "a\\nb", "X")))
    assert json.loads(found["entities"]) == [{"start": 0, "end": 3, "label": "X"}]


def test_the_text_may_have_another_name(tmp_path: Path) -> None:
    other = {"id": 1, "data": {"review": "好吃"}, "annotations": [{"result": [span(0, 1, None, "X")]}]}
    (item,) = read(tmp_path, other, text="review")
    assert isinstance(item, Record)
    assert item.text == "好吃"
    with pytest.raises(DataError, match=r"rows\.json, task 1: no column 'text'; its columns are 'review', 'id'"):
        read(tmp_path, {"id": 1, "data": {"review": "好吃"}, "annotations": [{"result": []}]})


@pytest.mark.parametrize(
    ("bad", "detail"),
    [
        (7, "7 is not an object with data and annotations"),
        ({"text": "x"}, '{"text": "x"} is not an object with data and annotations'),
        (task("x", annotations=[7]), "its annotations are [7], not a list of objects"),
        (task("x", annotations=[{}]), "the result of its annotation is null, not a list"),
        (task("x", choices()), "its choices are [], not a list of strings"),
        (task("x", rating("four")), 'its rating is "four", not a number'),
        (task("xy", span(0, 1, "y", "A")), "the span from 0 to 1 is 'x', not \"y\""),
        (task("xy", span(1, 9, None, "A")), "the span from 1 to 9 is 'y', not null"),
        (task("xy", span(1, 1, None, "A")), "it marks a span from 1 to 1"),
        (task("x", {"type": "labels", "value": 7}), "the value of a result is 7, not an object"),
    ],
)
def test_a_malformed_task_is_set_aside(tmp_path: Path, bad: Any, detail: str) -> None:
    good = task("x")
    kept, dropped, last = read(tmp_path, good, bad, good, max_bad_fraction=0.5)
    assert isinstance(kept, Record)
    assert isinstance(dropped, Drop)
    assert isinstance(last, Record)
    with pytest.raises(DataError) as caught:
        read(tmp_path, good, bad, good)
    assert str(caught.value).startswith(f"rows.json:2: malformed task: {detail}. In rows.json, 1 of 3")
