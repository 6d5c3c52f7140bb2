from __future__ import annotations

import json
import os
from typing import Any, get_args

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from wenlu.corpus.chats import Role, ToolCall, Turn, conversation, to_openai
from wenlu.errors import DataError

EXAMPLES = 1000 if os.environ.get("WENLU_PROOF") == "1" else 60
WEATHER = '{"city": "北京"}'
TALK = (
    Turn("system", "你是一个有用的助手。"),
    Turn("user", "北京天气怎么样？"),
    Turn("assistant", "", tool_calls=(ToolCall("get_weather", WEATHER),)),
    Turn("tool", "晴，25°C"),
    Turn("assistant", "北京今天晴，25度。"),
)
"""One conversation, which the layouts below write in their own ways."""


def test_openai_messages_keep_calls_and_their_answers() -> None:
    call = {"id": "call_1", "type": "function", "function": {"name": "get_weather", "arguments": WEATHER}}
    row = {
        "tools": [],
        "messages": [
            {"role": "developer", "content": "你是一个有用的助手。"},
            {"role": "user", "content": [{"type": "text", "text": "北京天气"}, {"type": "text", "text": "怎么样？"}]},
            {"role": "assistant", "content": None, "tool_calls": [call]},
            {"role": "tool", "tool_call_id": "call_1", "name": "get_weather", "content": "晴，25°C"},
            {"role": "assistant", "content": "北京今天晴，25度。"},
        ],
    }
    turns = conversation(row)
    assert turns[2] == Turn("assistant", "", tool_calls=(ToolCall("get_weather", WEATHER, "call_1"),))
    assert turns[3] == Turn("tool", "晴，25°C", name="get_weather", call_id="call_1")
    assert [(turn.role, turn.content) for turn in turns] == [(turn.role, turn.content) for turn in TALK]


def test_the_older_function_call_of_openai_is_a_call() -> None:
    messages = [
        {"role": "user", "content": "北京天气怎么样？"},
        {"role": "assistant", "content": None, "function_call": {"name": "get_weather", "arguments": WEATHER}},
        {"role": "function", "name": "get_weather", "content": "晴，25°C"},
    ]
    assert conversation({"messages": messages}) == (
        *TALK[1:3],
        Turn("tool", "晴，25°C", name="get_weather"),
    )


def test_sharegpt_conversations_keep_calls_and_their_answers() -> None:
    said = [
        {"from": "human", "value": "北京天气怎么样？"},
        {"from": "function_call", "value": '{"name": "get_weather", "arguments": {"city": "北京"}}'},
        {"from": "observation", "value": "晴，25°C"},
        {"from": "gpt", "value": "北京今天晴，25度。"},
    ]
    assert conversation({"conversations": said, "system": "你是一个有用的助手。", "tools": "[]"}) == TALK
    first = {"from": "system", "value": "你是一个有用的助手。"}
    assert conversation({"id": "x", "conversations": [first, *said]}) == TALK
    assert conversation({"conversations": [{"from": "user", "value": "a"}, {"from": "assistant", "value": "b"}]}) == (
        Turn("user", "a"),
        Turn("assistant", "b"),
    )


def test_alpaca_rows_are_one_question_after_their_history() -> None:
    row = {
        "instruction": "翻译成英文。",
        "input": "春眠不觉晓",
        "output": "Asleep in spring I did not heed the dawn.",
        "system": "你是译者。",
        "history": [["你好", "你好！"]],
    }
    assert conversation(row) == (
        Turn("system", "你是译者。"),
        Turn("user", "你好"),
        Turn("assistant", "你好！"),
        Turn("user", "翻译成英文。\n春眠不觉晓"),
        Turn("assistant", "Asleep in spring I did not heed the dawn."),
    )
    assert conversation({"instruction": "Say a.", "input": "", "output": "a"}) == (
        Turn("user", "Say a."),
        Turn("assistant", "a"),
    )


def test_a_column_that_was_kept_as_text_is_read() -> None:
    messages = [{"role": "user", "content": "你好"}]
    assert conversation({"messages": json.dumps(messages)}) == conversation({"messages": messages})


def test_one_side_may_speak_twice_in_a_row() -> None:
    messages = [{"role": role, "content": "a"} for role in ("user", "user", "assistant", "assistant")]
    assert [turn.role for turn in conversation({"messages": messages})] == ["user", "user", "assistant", "assistant"]


def openai(*messages: Any) -> dict[str, Any]:
    return {"messages": list(messages)}


USER = {"role": "user", "content": "你好"}


@pytest.mark.parametrize(
    ("row", "message"),
    [
        ({"text": "a", "id": 1}, r"no conversation: a row has messages .* and this one has 'text', 'id'"),
        (openai(), "no conversation: it has no turns; leave the row out"),
        ({"messages": "你好"}, 'messages: "你好" is not JSON'),
        ({"messages": 7}, "messages: 7 is not a list"),
        (openai(USER, 7), "turn 2: 7 is not an object with a role and what it says"),
        (
            openai(USER, {"role": "asssistant", "content": "a"}),
            r'turn 2: the role "asssistant" is unknown; did you mean ass',
        ),
        (openai(USER, {"content": "a"}), "turn 2: the role null is unknown"),
        (openai(USER, {"role": "assistant", "content": " "}), r"turn 2 \(assistant\): empty, ' '; fill it or leave"),
        (openai({"role": "user", "content": None}), r"turn 1 \(user\): empty, ''"),
        (
            openai(USER, {"role": "system", "content": "x"}),
            r"turn 2 \(system\): comes after others, 'x'; the system spe",
        ),
        (
            openai(USER, {"role": "tool", "content": "x"}),
            r"turn 2 \(tool\): answers no call, 'x'; the turn before it ca",
        ),
        (
            openai({"role": "user", "content": [{"type": "image_url", "image_url": "u"}]}),
            r'turn 1: a part of its content is \{"type": "image_url".*; only parts of type text are read',
        ),
        (openai({"role": "user", "content": 7}), "turn 1: its content is 7, neither text nor a list of parts"),
        (
            openai(USER, {"role": "assistant", "tool_calls": [{"id": "1"}]}),
            r'turn 2: the tool call \{"id": "1"\} has no function with a name',
        ),
        (
            openai({**USER, "tool_calls": [{"function": {"name": "f"}}]}),
            r"turn 1 \(user\): calls the tool 'f', which only the assistant does",
        ),
        ({"conversations": [{"from": "bot", "value": "x"}]}, 'turn 1: the role "bot" is unknown'),
        ({"conversations": [{"from": "function_call", "value": "x"}]}, 'turn 1: "x" is not JSON'),
        ({"instruction": "a", "output": ""}, r"turn 2 \(assistant\): empty, ''"),
        (
            {"instruction": "a", "output": "b", "history": [["c"]]},
            r'history 1: \["c"\] is not a pair of what was asked',
        ),
        ({"instruction": 7, "output": "b"}, "instruction: 7 is not text"),
    ],
)
def test_what_is_wrong_is_named_with_its_turn_and_value(row: dict[str, Any], message: str) -> None:
    with pytest.raises(DataError, match=message):
        conversation(row)


WORDS = st.text(min_size=1).filter(str.strip)
CALLS = st.builds(ToolCall, WORDS, st.just(WEATHER), st.text())
TURNS = st.lists(
    st.one_of(
        st.builds(Turn, st.sampled_from(["user", "assistant"]), WORDS, st.text()),
        st.builds(Turn, st.just("assistant"), st.text(), tool_calls=st.lists(CALLS, min_size=1).map(tuple)),
    ),
    min_size=1,
)


@settings(max_examples=EXAMPLES, deadline=None)
@given(TURNS, st.booleans(), st.text(), st.text())
def test_what_is_written_for_openai_is_read_again(turns: list[Turn], system: bool, said: str, id: str) -> None:
    with_answers = [Turn("system", "你好")] if system else []
    for turn in turns:
        with_answers += [turn, Turn("tool", said, call_id=id)] if turn.tool_calls else [turn]
    assert conversation({"messages": to_openai(with_answers)}) == tuple(with_answers)


@settings(max_examples=EXAMPLES, deadline=None)
@given(
    st.dictionaries(
        st.sampled_from(["messages", "conversations", "instruction", "output", "history", "system"]),
        st.recursive(
            st.none() | st.integers() | st.sampled_from([*get_args(Role), "function_call", "[]", "{}", "a"]),
            lambda inner: (
                st.lists(inner, max_size=3)
                | st.dictionaries(
                    st.sampled_from(
                        ["role", "content", "from", "value", "tool_calls", "function", "name", "type", "text"]
                    ),
                    inner,
                )
            ),
        ),
    )
)
def test_a_row_of_any_shape_is_turns_or_an_error_for_users(row: dict[str, Any]) -> None:
    try:
        turns = conversation(row)
    except DataError:
        return
    assert turns
