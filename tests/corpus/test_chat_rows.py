"""Rows that are conversations, in any file that has columns."""

from __future__ import annotations

import csv
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from wenlu.corpus.record import Item, Record
from wenlu.corpus.sources import SourceSpec, open_source
from wenlu.errors import DataError

OPENAI = [
    {"role": "user", "content": "猫在哪里？"},
    {"role": "assistant", "content": "On the mat."},
]
SHAPES: dict[str, dict[str, Any]] = {
    "openai": {"messages": OPENAI},
    "sharegpt": {"conversations": [{"from": "human", "value": "猫在哪里？"}, {"from": "gpt", "value": "On the mat."}]},
    "alpaca": {"instruction": "猫在哪里？", "input": "", "output": "On the mat."},
    "texts": {"messages": ["猫在哪里？", "On the mat."]},
}


def as_jsonl(path: Path, rows: list[dict[str, Any]]) -> Path:
    path.write_text("".join(json.dumps(row) + "\n" for row in rows), encoding="utf-8")
    return path


def as_json(path: Path, rows: list[dict[str, Any]]) -> Path:
    path.write_text(json.dumps(rows), encoding="utf-8")
    return path


def as_csv(path: Path, rows: list[dict[str, Any]]) -> Path:
    with path.open("w", newline="", encoding="utf-8") as file:
        writer = csv.DictWriter(file, list(rows[0]))
        writer.writeheader()
        for row in rows:
            writer.writerow({k: v if isinstance(v, str) else json.dumps(v) for k, v in row.items()})
    return path


def as_parquet(path: Path, rows: list[dict[str, Any]]) -> Path:
    pq.write_table(pa.Table.from_pylist(rows), path)
    return path


def as_arrow(path: Path, rows: list[dict[str, Any]]) -> Path:
    content = pa.Table.from_pylist(rows)
    with pa.ipc.new_stream(str(path), content.schema) as writer:
        writer.write_table(content)
    return path


WRITERS = {".jsonl": as_jsonl, ".json": as_json, ".csv": as_csv, ".parquet": as_parquet, ".arrow": as_arrow}


def records(path: Path, **settings: Any) -> list[Item]:
    return list(open_source(SourceSpec(path=str(path), **{"chats": "auto", **settings})))


@pytest.mark.parametrize("suffix", WRITERS)
@pytest.mark.parametrize("shape", SHAPES)
def test_every_shape_in_every_file_is_one_conversation(shape: str, suffix: str, tmp_path: Path) -> None:
    write: Callable[[Path, list[dict[str, Any]]], Path] = WRITERS[suffix]
    path = write(tmp_path / f"rows{suffix}", [{**SHAPES[shape], "topic": "cats"}])
    (found,) = records(path, meta=("topic",))
    assert isinstance(found, Record)
    assert found.text == "猫在哪里？\nOn the mat."
    assert json.loads(found.meta["messages"]) == OPENAI
    assert found.meta["topic"] == "cats"


def test_a_column_of_another_name_keeps_it(tmp_path: Path) -> None:
    (found,) = records(as_jsonl(tmp_path / "a.jsonl", [{"talk": ["a", "b"], "text": "no"}]), chats="talk")
    assert isinstance(found, Record)
    assert (found.text, [*found.meta]) == ("a\nb", ["talk", "source"])
    with pytest.raises(DataError, match=r"a.jsonl, line 1: no column 'talks'; its columns are 'talk', 'text'"):
        records(tmp_path / "a.jsonl", chats="talks")


def test_a_row_with_a_text_alone_is_a_question(tmp_path: Path) -> None:
    (found,) = records(as_jsonl(tmp_path / "a.jsonl", [{"text": "where is it?"}]))
    assert isinstance(found, Record)
    assert (found.text, found.meta.get("messages")) == ("where is it?", None)


def test_what_is_no_conversation_is_told_with_its_reason(tmp_path: Path) -> None:
    path = as_jsonl(tmp_path / "a.jsonl", [{"body": "x"}])
    with pytest.raises(DataError, match=r"a.jsonl:1.*no conversation: a row has messages \(OpenAI\), conversations"):
        records(path)
    (tmp_path / "a.txt").write_text("hello\n")
    with pytest.raises(DataError, match=r"a\.txt: a text file has no columns; leave out chats = 'auto'"):
        records(tmp_path / "a.txt")


def test_two_who_chat_are_the_user_and_the_assistant(tmp_path: Path) -> None:
    def said(sender: str, *texts: str) -> list[dict[str, str]]:
        return [{"text": text, "sender": sender, "timestamp": "2018"} for text in texts]

    talks = {
        "one": {"messages": [said("x", "Hi", "you there?"), said("y", "yes"), said("x", " ")], "ratings": {"int": 5}},
        "two": {"messages": [said("x", "Hi"), said("y", "yes"), said("z", "me too")]},
        "three": {"messages": []},
    }
    (tmp_path / "a.json").write_text(json.dumps(talks))
    spec = SourceSpec(path=str(tmp_path / "a.json"), kind="chitchat", meta=("messages", "id"), max_bad_fraction=0.5)
    first, second, third = open_source(spec)
    assert isinstance(first, Record)
    assert (first.text, first.meta["id"]) == ("Hi\nyou there?\nyes", "one")
    assert [(turn["role"], turn["content"]) for turn in json.loads(first.meta["messages"])] == [
        ("user", "Hi\nyou there?"),
        ("assistant", "yes"),
    ]
    assert [item.reason for item in (second, third) if not isinstance(item, Record)] == [
        "malformed conversation",
        "nobody answers",
    ]


def test_a_corpus_of_chatterbot_is_said_in_turn_and_holds_no_alias(tmp_path: Path) -> None:
    path = tmp_path / "a.yml"
    path.write_text("categories: [talk]\nconversations:\n- - Who?\n  - 7\n  - so: it is\n- - []\n")
    spec = SourceSpec(path=str(path), kind="chatterbot", meta=("messages",), max_bad_fraction=0.5)
    first, _ = open_source(spec)
    assert isinstance(first, Record)
    assert [turn["content"] for turn in json.loads(first.meta["messages"])] == ["Who?", "7", "so: it is"]
    path.write_text("a: &a [x]\nconversations: [*a]\n")
    with pytest.raises(DataError, match=r"a.yml: has an alias \(\*name\), which no corpus needs; write the text out"):
        list(open_source(spec))


@pytest.mark.fetch
def test_the_packages_hold_conversations(package_file: Callable[[str, str], Path]) -> None:
    """The chit-chat is large: its first conversations."""
    path = package_file("chitchat-dataset", "chitchat_dataset/dataset.json")
    found = list(open_source(SourceSpec(path=str(path), kind="chitchat", limit=50, meta=("messages",))))
    assert sum(isinstance(item, Record) for item in found) > 20
    folder = package_file("chatterbot-corpus", "chatterbot_corpus/data/chinese/greetings.yml")
    chinese = list(open_source(SourceSpec(path=str(folder), kind="chatterbot", meta=("messages",))))
    assert all(isinstance(item, Record) and len(json.loads(item.meta["messages"])) >= 2 for item in chinese)
