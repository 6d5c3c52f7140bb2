"""Conversations that templates make of columns."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from tests.corpus.test_chat_rows import WRITERS

from wenlu.config import check
from wenlu.corpus.pairs import PAIR, Columns
from wenlu.corpus.record import Drop, Item, Record
from wenlu.corpus.sources import SourceSpec, open_source
from wenlu.errors import ConfigError, DataError
from wenlu.tasks.preference import PreferenceConfig
from wenlu.tasks.preferences.example import preferred_of

TURNS = {"user": "{context}\n\n{question}", "assistant": "{answer}"}
ROWS = [
    {"context": "The cat sat.", "question": "谁？", "answer": "the cat"},
    {"context": "The dog ran.", "question": "Who?", "answer": "the dog"},
]


def opened(path: Path, **settings: Any) -> list[Item]:
    return list(open_source(SourceSpec(path=str(path), **{"turns": TURNS, **settings})))


def said(item: Item) -> list[tuple[str, str]]:
    assert isinstance(item, Record)
    return [(turn["role"], turn["content"]) for turn in json.loads(item.meta["messages"])]


@pytest.mark.parametrize("suffix", WRITERS)
def test_rows_of_every_file_with_columns_become_conversations(suffix: str, tmp_path: Path) -> None:
    write: Callable[[Path, list[dict[str, Any]]], Path] = WRITERS[suffix]
    first, second = opened(write(tmp_path / f"rows{suffix}", ROWS), meta=("question",))
    assert said(first) == [("user", "The cat sat.\n\n谁？"), ("assistant", "the cat")]
    assert said(second) == [("user", "The dog ran.\n\nWho?"), ("assistant", "the dog")]
    assert isinstance(first, Record)
    assert first.text == "The cat sat.\n\n谁？\nthe cat"
    assert dict(first.meta) == {
        "messages": first.meta["messages"],
        "question": "谁？",
        "source": f"rows{suffix}",
    }


def test_names_are_those_that_the_source_gives_its_columns(tmp_path: Path) -> None:
    path = WRITERS[".csv"](tmp_path / "a.csv", [{"q": "Who?", "answer": "the cat"}])
    turns = {"system": "Be {mood}.", "user": "{question}", "assistant": "{{{answer}}}"}
    (found,) = opened(path, turns=turns, rename={"q": "question"}, set={"mood": "brief"})
    assert said(found) == [("system", "Be brief."), ("user", "Who?"), ("assistant", "{the cat}")]


def test_brackets_look_into_lists_and_objects(tmp_path: Path) -> None:
    row = {"tokens": ["EU", "rejects"], "answers": [{"text": "a cat"}, {"text": "cats"}], "n": 3}
    path = WRITERS[".jsonl"](tmp_path / "a.jsonl", [{**row, "text": "x"}])
    turns = {"user": "{n}, {tokens[*]}", "assistant": "{answers[0][text]}; {answers[*][text]}"}
    (found,) = opened(path, turns=turns)
    assert said(found) == [("user", "3, EU rejects"), ("assistant", "a cat; a cat cats")]


def test_a_folder_of_texts_has_what_is_set_for_it(tmp_path: Path) -> None:
    (tmp_path / "good.txt").write_text("很好\n好吃\n", encoding="utf-8")
    turns = {"user": "好评还是差评？{text}", "assistant": "{label}"}
    found = opened(tmp_path / "good.txt", turns=turns, set={"label": "好评"}, by="line")
    assert [said(item)[0][1] for item in found] == ["好评还是差评？很好", "好评还是差评？好吃"]
    with pytest.raises(DataError, match=r"a text file has no columns; leave out \{mark\} in turns; its text is \{text"):
        opened(tmp_path / "good.txt", turns={"user": "{text}", "assistant": "{mark}"})


def test_a_row_that_leaves_a_side_without_words_is_dropped(tmp_path: Path) -> None:
    rows = [*ROWS, {**ROWS[0], "answer": " "}, {**ROWS[0], "answer": None}]
    *good, empty, missing = opened(WRITERS[".jsonl"](tmp_path / "a.jsonl", rows))
    assert len(good) == 2
    assert isinstance(empty, Drop)
    assert isinstance(missing, Drop)
    assert (empty.reason, missing.reason) == ("assistant says nothing", "no answer")


def test_an_unknown_column_is_named(tmp_path: Path) -> None:
    wrong = {**TURNS, "assistant": "{solution}"}
    for suffix, write in WRITERS.items():
        path = write(tmp_path / f"rows{suffix}", ROWS)
        with pytest.raises(
            DataError, match=r"no column 'solution'; its columns are 'context', 'question', 'answer'. Name"
        ):
            opened(path, turns=wrong)


@pytest.mark.parametrize(
    ("turns", "message"),
    [
        ({"user": "{a}", "bot": "{b}"}, "'bot' is nobody who speaks; write system, user, assistant"),
        ({"user": "{a}"}, r"assistant says nothing; add assistant = "),
        ({"user": "{a", "assistant": "{b}"}, r"user: '\{a' is no name of a column in braces; write \{question\}"),
        ({"user": "{}", "assistant": "{b}"}, r"user: '\{\}' is no name of a column"),
    ],
)
def test_templates_that_cannot_be_filled_are_refused(turns: dict[str, str], message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        check(SourceSpec, {"path": "a.csv", "turns": turns}, where="[data]")
    with pytest.raises(ConfigError, match="turns are made of columns, and chats are there already"):
        check(SourceSpec, {"path": "a.csv", "turns": TURNS, "chats": "auto"}, where="[data]")


def test_a_worse_answer_makes_a_pair_to_learn_preferences_from(tmp_path: Path) -> None:
    turns = {"user": "{question}", "assistant": "{answer}", "rejected": "{wrong}"}
    path = WRITERS[".jsonl"](tmp_path / "a.jsonl", [{**ROWS[0], "wrong": "nobody"}, {**ROWS[1], "wrong": " "}])
    found, silent = opened(path, turns=turns)
    assert isinstance(found, Record)
    pair = preferred_of(found, Columns(*PAIR))
    assert [(turn.role, turn.content) for turn in pair.prompt] == [("user", "谁？")]
    assert (pair.chosen, pair.rejected) == ("the cat", "nobody")
    assert said(found) == [("user", "谁？"), ("assistant", "the cat")]  # and a conversation as well
    assert isinstance(silent, Drop)
    assert silent.reason == "rejected says nothing"
    spec = SourceSpec(path=str(path), turns=turns)
    assert PreferenceConfig().source_of(spec) == spec
