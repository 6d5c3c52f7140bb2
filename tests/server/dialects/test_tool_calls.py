from __future__ import annotations

import json
import os
import random

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from wenlu.server.dialects.tool_calls import Arguments, Called, Said, ToolCalls, calls_in

EXAMPLES = 1000 if os.environ.get("WENLU_PROOF") == "1" else 60

VALUES = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(max_size=12) | st.sampled_from(["</tool_call>", "<tool_call>"]),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=6), inner, max_size=3),
    max_leaves=6,
)
CALLS = st.tuples(
    st.from_regex(r"[a-z_]{1,12}", fullmatch=True), st.dictionaries(st.text(max_size=8), VALUES, max_size=3)
)


def read(pieces: list[str], *, most: int | None = None) -> tuple[str, list[tuple[str, str]]]:
    """What a client puts together that follows the deltas: text, and name and arguments by index."""
    finder = ToolCalls(most=most)
    said, calls = "", []
    for piece in [one for text in pieces for one in finder.feed(text)] + finder.close():
        match piece:
            case Said(text):
                said += text
            case Called(index, name):
                assert index == len(calls)
                calls.append((name, ""))
            case Arguments(index, text):
                assert index == len(calls) - 1
                calls[index] = (calls[index][0], calls[index][1] + text)
    return said, calls


def cut(text: str, seed: int) -> list[str]:
    """`text` in pieces of random lengths, single characters among them."""
    chance = random.Random(seed)
    places = sorted(chance.sample(range(len(text) + 1), k=chance.randrange(len(text) + 1)))
    return [text[start:end] for start, end in zip([0, *places], [*places, len(text)], strict=True)]


@settings(max_examples=EXAMPLES)
@given(
    calls=st.lists(CALLS, min_size=3, max_size=3),
    before=st.sampled_from(["", "Let me look.", "好的，我查一下。\n"]),
    indent=st.sampled_from([None, 2]),
    is_ascii=st.booleans(),
    seed=st.integers(0, 2**16),
)
def test_three_parallel_calls_are_the_same_wherever_the_text_is_cut(
    calls: list[tuple[str, dict[str, object]]], before: str, indent: int | None, is_ascii: bool, seed: int
) -> None:
    blocks = [
        json.dumps({"name": name, "arguments": arguments}, indent=indent, ensure_ascii=is_ascii)
        for name, arguments in calls
    ]
    text = before + "\n".join(f"<tool_call>\n{block}\n</tool_call>" for block in blocks)
    said, found = read(cut(text, seed))
    assert said == before.rstrip()
    assert [(name, json.loads(arguments)) for name, arguments in found] == calls
    assert (said, found) == calls_in(text)


@settings(max_examples=EXAMPLES)
@given(
    parts=st.lists(
        st.sampled_from(
            (
                *("<tool_call>", "</tool_call>", '{"name": "f", "arguments": {', '"a"', ": ", "1", "}", "[", "]", " "),
                *("\n", "<", "x", "\\", '{"name": "g"}', '{"arguments": {}, "name": "h"}', ", "),
            )
        ),
        max_size=20,
    ),
    seed=st.integers(0, 2**16),
)
def test_whatever_is_written_the_calls_do_not_depend_on_the_cuts(parts: list[str], seed: int) -> None:
    text = "".join(parts)
    assert read(cut(text, seed)) == read([text]) == read(list(text))


@settings(max_examples=EXAMPLES)
@given(text=st.text(alphabet="<tool_cal>/ab \n好", max_size=30).filter(lambda text: "<tool_call>" not in text))
def test_text_without_calls_is_told_to_the_last_character(text: str) -> None:
    assert read(list(text)) == (text, [])
    assert calls_in(text) == (text, [])


@pytest.mark.parametrize(
    "text",
    [
        "<tool_call>\nnot JSON\n</tool_call>",
        '<tool_call>{"name": "f"',
        '<tool_call>{"arguments": {}}</tool_call>',
        '<tool_call>["f"]</tool_call>',
        'So: <tool_call>{"name": 3, "arguments": {}}</tool_call> there',
        "the tag <tool_call> opens a call",
        '<tool_call>{"name": "f", "arguments": "x"}</tool_call>',
    ],
)
def test_what_does_not_begin_as_a_call_stays_text(text: str) -> None:
    assert read(list(text)) == (text, [])
    assert calls_in(text) == (text, [])


def test_a_whole_answer_keeps_a_broken_call_as_text() -> None:
    text = '<tool_call>{"name": "f", "arguments": {"a": 1,}}</tool_call>'
    assert calls_in(text) == (text, [])
    assert read([text]) == ("", [("f", '{"a": 1,}')])


def test_the_name_comes_before_the_arguments_and_these_as_they_are_written() -> None:
    finder = ToolCalls()
    assert finder.feed('<tool_call>{"name": "f", "argu') == []
    assert finder.feed('ments": {"city": ') == [Called(0, "f"), Arguments(0, '{"city": ')]
    assert finder.feed('"Oslo"}}') == [Arguments(0, '"Oslo"}')]
    assert finder.feed("</tool_call>") == []
    assert finder.close() == []


def test_only_as_many_calls_are_told_as_may_be() -> None:
    call = '<tool_call>{"name": "f", "arguments": {}}</tool_call>'
    assert read(list(call + call), most=1) == (call, [("f", "{}")])
    assert calls_in(call + call, most=1) == (call, [("f", "{}")])


def test_a_call_whose_closing_tag_was_cut_off_is_told() -> None:
    text = '<tool_call>{"name": "f", "arguments": {"a": 1}}'
    assert read(list(text)) == calls_in(text) == ("", [("f", '{"a": 1}')])


def test_arguments_need_not_stand_behind_the_name() -> None:
    text = '<tool_call>{"arguments": {"a": "好"}, "name": "f"}</tool_call>'
    assert read(list(text)) == calls_in(text) == ("", [("f", '{"a": "好"}')])
