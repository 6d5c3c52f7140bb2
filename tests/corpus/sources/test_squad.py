from __future__ import annotations

import json
import tracemalloc
from pathlib import Path
from typing import Any

import pytest

from wenlu.corpus.record import Drop, Item, Record
from wenlu.corpus.sources import SourceSpec, open_source
from wenlu.corpus.squad_files import write_squad, write_squad_predictions
from wenlu.errors import DataError

COLUMNS = ("question", "context", "answers", "id", "title", "is_impossible")
CONTEXT = "李白字太白，号青莲居士，生于701年。"


def question(id: str, answers: list[dict[str, Any]], **more: object) -> dict[str, Any]:
    return {"id": id, "question": f"问题{id}？", "answers": answers, **more}


def article(*questions: dict[str, Any], title: str = "李白", context: str = CONTEXT) -> dict[str, Any]:
    return {"title": title, "paragraphs": [{"context": context, "qas": list(questions)}]}


V2 = {
    "version": "v2.0",
    "data": [
        article(
            question("a", [{"text": "太白", "answer_start": 3}], is_impossible=False),
            question("b", [], is_impossible=True, plausible_answers=[{"text": "701年", "answer_start": 14}]),
        ),
        article(question("c", [{"text": "b", "answer_start": 2}], is_impossible=False), title="x", context="a b c b"),
    ],
}


def read(path: Path, **settings: object) -> list[Item]:
    spec = {"path": str(path), "kind": "squad", "meta": COLUMNS, **settings}
    return list(open_source(SourceSpec.model_validate(spec)))


def write(tmp_path: Path, value: object) -> Path:
    path = tmp_path / "rows.json"
    path.write_text(value if isinstance(value, str) else json.dumps(value, ensure_ascii=False))
    return path


def answers(item: Item) -> object:
    assert isinstance(item, Record)
    return json.loads(item.meta["answers"])


def test_a_question_is_a_record_with_its_context(tmp_path: Path) -> None:
    first, second, third = read(write(tmp_path, V2))
    assert first == Record(
        "问题a？",
        "rows.json:1",
        {
            "question": "问题a？",
            "context": CONTEXT,
            "answers": '[{"text": "太白", "start": 3}]',
            "id": "a",
            "title": "李白",
            "is_impossible": "false",
            "source": "rows.json",
        },
    )
    assert isinstance(second, Record)
    assert isinstance(third, Record)
    assert (second.meta["is_impossible"], answers(second)) == ("true", [])
    assert (third.meta["title"], third.meta["context"]) == ("x", "a b c b")


def test_all_layouts_of_the_same_questions_are_read_alike(tmp_path: Path) -> None:
    nested = article(question("a", [{"text": "太白", "answer_start": 3}]), question("b", []))
    flat = [
        {**question("a", []), "answers": {"text": ["太白"], "answer_start": [3]}, "context": CONTEXT, "title": "李白"},
        {**question("b", []), "answers": {"text": [], "answer_start": []}, "context": CONTEXT, "title": "李白"},
    ]
    paragraphs = [{"title": "李白", **nested["paragraphs"][0]}]
    first = read(write(tmp_path, {"data": [nested], "version": "1.1"}))
    assert len(first) == 2
    for layout in ([nested], flat, paragraphs, {"data": flat}):
        assert read(write(tmp_path, layout)) == first


@pytest.mark.parametrize(("start", "found"), [(2, 2), (0, 2), (3, 2), (5, 6), (4, 2), (100, 6), (-1, 2)])
def test_an_answer_is_moved_to_the_nearest_place_where_it_stands(tmp_path: Path, start: int, found: int) -> None:
    value = [article(question("c", [{"text": "b", "answer_start": start}]), context="a b c b")]
    assert answers(read(write(tmp_path, value))[0]) == [{"text": "b", "start": found}]


@pytest.mark.parametrize(
    ("bad", "detail"),
    [
        (
            question("z", [{"text": "杜甫", "answer_start": 0}]),
            "the answer '杜甫' does not stand in its context, '李白字",
        ),
        (question("z", [{"text": "太白"}]), "the answer '太白' has the answer_start null, not a whole number"),
        (question("z", [{"text": "太白", "answer_start": "3"}]), "the answer '太白' has the answer_start \"3\", not a"),
        (question("z", [{"text": "", "answer_start": 0}]), 'the text of an answer is ""'),
        ({"id": "z", "question": 7}, "its question is 7, not a string"),
        (
            {"id": "z", "question": "?", "answers": "太白"},
            'its answers are "太白", not a list of objects with text and',
        ),
        (question("z", [], is_impossible="no"), 'its is_impossible is "no", not true or false'),
        (
            question("z", [{"text": "太白", "answer_start": 3}], is_impossible=True),
            "it is_impossible, yet has the answer '太白'",
        ),
        ("text", '"text" where an article, paragraph or question is expected'),
    ],
)
def test_a_malformed_question_is_set_aside(tmp_path: Path, bad: Any, detail: str) -> None:
    path = write(tmp_path, {"data": [article(question("a", []), bad, question("b", []))]})
    kept, dropped, last = read(path, max_bad_fraction=0.5)
    assert isinstance(kept, Record)
    assert isinstance(dropped, Drop)
    assert isinstance(last, Record)
    with pytest.raises(DataError) as caught:
        read(path)
    assert str(caught.value).startswith(f"rows.json:2: malformed question: {detail}")


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ('{"version": "1.1"}', "not SQuAD's layout, as its object has no 'data' but 'version'; questions"),
        ('{"data": [],\n "data": []}', 'line 2: malformed JSON: a new key is expected, not "data"'),
        ('{"data": []} []', "line 1: malformed JSON: something follows the object"),
        ('{"data": [],\n', "line 2: malformed JSON: the file ends too early"),
        ('{"data": [{"title": "x"', "line 1: malformed JSON: "),
    ],
)
def test_another_layout_is_an_error(tmp_path: Path, content: str, message: str) -> None:
    with pytest.raises(DataError) as caught:
        read(write(tmp_path, content))
    assert message in str(caught.value)


def test_a_file_of_many_articles_is_read_in_the_memory_of_one(tmp_path: Path) -> None:
    one = json.dumps(article(question("a", []), context="x" * 10_000))
    path = write(tmp_path, '{"version": "1.1", "data": [' + ", ".join([one] * 2000) + "]}")
    tracemalloc.start()
    count = sum(1 for _ in open_source(SourceSpec(path=str(path), kind="squad", max_record_bytes=1 << 17)))
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert count == 2000
    assert peak < 4 << 20


def test_what_is_written_is_read_again(tmp_path: Path) -> None:
    records = [item for item in read(write(tmp_path, V2)) if isinstance(item, Record)]
    write_squad(tmp_path / "again.json", records)
    again = [item for item in read(tmp_path / "again.json", name="rows.json") if isinstance(item, Record)]
    assert again == records
    written = json.loads((tmp_path / "again.json").read_text())
    assert [len(article["paragraphs"][0]["qas"]) for article in written["data"]] == [2, 1]


def test_predictions_are_one_object_of_id_and_answer(tmp_path: Path) -> None:
    write_squad_predictions(tmp_path / "answers.json", {"a": "太白", "b": ""})
    assert json.loads((tmp_path / "answers.json").read_text()) == {"a": "太白", "b": ""}
    assert "太白" in (tmp_path / "answers.json").read_text()


def test_a_record_of_another_kind_cannot_be_written(tmp_path: Path) -> None:
    with pytest.raises(DataError, match=r"x:1: no 'context' in its meta, which a SQuAD file needs; read it with kind"):
        write_squad(tmp_path / "a.json", [Record("?", "x:1")])
    meta = {"context": "c", "answers": "[1]", "id": "a", "is_impossible": "false"}
    with pytest.raises(DataError, match=r"x:1: its answers, \[1\], are not a list of objects"):
        write_squad(tmp_path / "a.json", [Record("?", "x:1", meta)])
    assert not (tmp_path / "a.json").exists()
