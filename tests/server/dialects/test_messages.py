from __future__ import annotations

import json
from typing import Any

import pytest
from tests.server.scripted import ScriptedGateway, plain, written

from wenlu.server.http.errors import ApiError
from wenlu.server.messages import ChatPrompt, Form, Rules, Tokenize, Tokens

USER = {"role": "user", "content": "hi"}
TOOL = {"name": "weather", "description": "of a city", "input_schema": {"type": "object"}}
CALL = '<tool_call>{"name": "weather", "arguments": {"city": "北京"}}</tool_call>'


def asked(**more: Any) -> dict[str, Any]:
    return {"model": "tiny", "max_tokens": 9, "messages": [USER], **more}


def prompt_of(**more: Any) -> ChatPrompt:
    gateway = ScriptedGateway(written("a"))
    answer = gateway.post("/v1/messages", asked(**more))
    assert answer.status_code == 200, answer.text
    prompt = gateway.generated[0].prompt
    assert isinstance(prompt, ChatPrompt)
    return prompt


def events(body: bytes) -> list[dict[str, Any]]:
    told = []
    for event in body.decode().removesuffix("\n\n").split("\n\n"):
        if event.startswith("event: "):
            name, data = event.split("\n")
            told.append(json.loads(data.removeprefix("data: ")))
            assert told[-1]["type"] == name.removeprefix("event: ")
    return told


def test_a_stream_is_written_so_to_the_last_byte() -> None:
    answer = ScriptedGateway(written("你", "好", stopped_by="。")).post("/v1/messages", asked(stream=True))
    assert plain(answer.content) == (
        'event: message_start\ndata: {"type":"message_start","message":{"id":"msg_ID","type":"message",'
        '"role":"assistant","model":"tiny","content":[],"stop_reason":null,"stop_sequence":null,'
        '"usage":{"input_tokens":7,"output_tokens":0}}}\n\n'
        'event: ping\ndata: {"type":"ping"}\n\n'
        'event: content_block_start\ndata: {"type":"content_block_start","index":0,'
        '"content_block":{"type":"text","text":""}}\n\n'
        'event: content_block_delta\ndata: {"type":"content_block_delta","index":0,'
        '"delta":{"type":"text_delta","text":"你"}}\n\n'
        'event: content_block_delta\ndata: {"type":"content_block_delta","index":0,'
        '"delta":{"type":"text_delta","text":"好"}}\n\n'
        'event: content_block_stop\ndata: {"type":"content_block_stop","index":0}\n\n'
        'event: message_delta\ndata: {"type":"message_delta","delta":{"stop_reason":"stop_sequence",'
        '"stop_sequence":"。"},"usage":{"output_tokens":2}}\n\n'
        'event: message_stop\ndata: {"type":"message_stop"}\n\n'
    )


def test_text_and_calls_are_blocks_of_their_own_streamed_or_whole() -> None:
    gateway = ScriptedGateway(written(*"Let me see.\n", *CALL, *CALL))
    told = events(gateway.post("/v1/messages", asked(stream=True, tools=[TOOL])).content)
    blocks = [event["content_block"] for event in told if event["type"] == "content_block_start"]
    assert [block["type"] for block in blocks] == ["text", "tool_use", "tool_use"]
    assert [event["index"] for event in told if event["type"] == "content_block_stop"] == [0, 1, 2]
    parts = dict.fromkeys(range(3), "")
    for event in told:
        if event["type"] == "content_block_delta":
            parts[event["index"]] += event["delta"].get("text", "") + event["delta"].get("partial_json", "")
    assert parts[0] == "Let me see."
    assert json.loads(parts[1]) == json.loads(parts[2]) == {"city": "北京"}
    assert told[-2]["delta"]["stop_reason"] == "tool_use"
    whole = gateway.post("/v1/messages", asked(tools=[TOOL])).json()
    assert whole["stop_reason"] == "tool_use"
    assert whole["content"][0] == {"type": "text", "text": "Let me see."}
    assert [block["input"] for block in whole["content"][1:]] == [{"city": "北京"}] * 2
    assert whole["content"][1]["id"].startswith("toolu_")
    assert whole["content"][1]["id"] != whole["content"][2]["id"]


@pytest.mark.parametrize(
    ("last", "reason"),
    [
        ({"finish": "stop"}, "end_turn"),
        ({"finish": "length"}, "max_tokens"),
        ({"finish": "stop", "stopped_by": "。"}, "stop_sequence"),
    ],
)
def test_the_reason_of_the_end_is_told(last: dict[str, Any], reason: str) -> None:
    told = ScriptedGateway(written("a", **last)).post("/v1/messages", asked()).json()
    assert (told["stop_reason"], told["stop_sequence"]) == (reason, last.get("stopped_by"))
    assert told["usage"] == {"input_tokens": 7, "output_tokens": 1}


def test_blocks_become_what_a_chat_template_reads() -> None:
    messages = [
        {"role": "user", "content": [{"type": "text", "text": "And", "cache_control": {"type": "ephemeral"}}]},
        {"role": "user", "content": "now?"},
        {
            "role": "assistant",
            "content": [
                {"type": "text", "text": "I look."},
                {"type": "tool_use", "id": "t1", "name": "weather", "input": {"city": "Oslo"}},
            ],
        },
        {
            "role": "user",
            "content": [
                {
                    "type": "tool_result",
                    "tool_use_id": "t1",
                    "content": [{"type": "text", "text": "down"}],
                    "is_error": True,
                },
                {"type": "text", "text": "Well?"},
            ],
        },
    ]
    prompt = prompt_of(system=[{"type": "text", "text": "Be brief."}], messages=messages, tools=[TOOL])
    call = {"id": "t1", "type": "function", "function": {"name": "weather", "arguments": {"city": "Oslo"}}}
    assert prompt.messages == (
        {"role": "system", "content": "Be brief."},
        {"role": "user", "content": "And\nnow?"},
        {"role": "assistant", "content": "I look.", "tool_calls": [call]},
        {"role": "tool", "content": "Error: down", "tool_call_id": "t1", "name": "weather"},
        {"role": "user", "content": "Well?"},
    )
    function = {"name": "weather", "description": "of a city", "parameters": {"type": "object"}}
    assert prompt.tools == ({"type": "function", "function": function},)
    assert not prompt.continues


def test_an_answer_that_was_begun_goes_on() -> None:
    prompt = prompt_of(messages=[USER, {"role": "assistant", "content": "The"}])
    assert prompt.continues
    assert prompt.messages[-1] == {"role": "assistant", "content": "The"}


@pytest.mark.parametrize(
    ("choice", "told"),
    [
        ({"type": "auto"}, ("auto", True)),
        ({"type": "any"}, ("required", True)),
        ({"type": "none"}, ("none", True)),
        ({"type": "tool", "name": "weather", "disable_parallel_tool_use": True}, ("weather", False)),
    ],
)
def test_the_choice_of_a_tool_is_told(choice: dict[str, Any], told: tuple[str, bool]) -> None:
    prompt = prompt_of(tools=[TOOL], tool_choice=choice)
    assert (prompt.tool_choice, prompt.parallel) == told


def test_how_to_draw_and_the_form_reach_the_engine() -> None:
    gateway = ScriptedGateway(written("a"))
    form = {"format": {"type": "json_schema", "schema": {"type": "object"}}}
    answer = gateway.post(
        "/v1/messages",
        asked(
            temperature=0.2, top_p=0.9, top_k=3, stop_sequences=["。"], output_config=form, metadata={"user_id": "1"}
        ),
    )
    request = gateway.generated[0]
    assert request.rules == Rules(temperature=0.2, top_p=0.9, top_k=3)
    assert (request.stop, request.max_tokens) == (("。",), 9)
    assert request.form == Form(json_schema='{"type": "object"}')
    assert answer.headers["x-ignored-params"] == "metadata"


def test_tokens_are_counted_as_the_engine_reads_them() -> None:
    gateway = ScriptedGateway(replies=[Tokens(id=1, ids=(1, 2, 3))])
    body = {"model": "tiny", "messages": [USER], "system": "S", "tools": [TOOL]}
    assert gateway.post("/v1/messages/count_tokens", body).json() == {"input_tokens": 3}
    (request,) = gateway.asked
    assert isinstance(request, Tokenize)
    assert request.framed
    assert isinstance(request.prompt, ChatPrompt)
    assert request.prompt.messages[0] == {"role": "system", "content": "S"}


@pytest.mark.parametrize(
    ("fields", "message"),
    [
        ({"max_tokens": None}, "max_tokens is required"),
        ({"thinking": {"type": "enabled", "budget_tokens": 1024}}, "thinking"),
        ({"stop": "a"}, "stop_sequences"),
        ({"mcp_servers": []}, "mcp_servers is not supported"),
        ({"top_temperature": 1}, "did you mean temperature?"),
        ({"messages": [{"role": "system", "content": "x"}]}, "messages.0.role"),
        ({"tools": [{"type": "web_search_20250305", "name": "web_search"}]}, "tools.0"),
        ({"tool_choice": {"type": "tool", "name": "x"}, "tools": [TOOL]}, "none of the tools: weather"),
        ({"messages": [{"role": "user", "content": [{"type": "image", "source": {}}]}]}, "must be a data URL"),
        (
            {"messages": [{"role": "user", "content": [{"type": "tool_result", "tool_use_id": "t9", "content": "x"}]}]},
            "'t9' is the id of no tool_use",
        ),
        ({"messages": [{"role": "user", "content": [{"type": "tool_use", "id": "t"}]}]}, "no block of the user's"),
    ],
)
def test_what_cannot_be_done_is_refused_by_name_in_anthropics_shape(fields: dict[str, Any], message: str) -> None:
    answer = ScriptedGateway(written("a")).post("/v1/messages", asked(**fields))
    told = answer.json()
    assert answer.status_code == 400, answer.text
    assert (told["type"], told["error"]["type"]) == ("error", "invalid_request_error")
    assert message in told["error"]["message"]


def test_thinking_that_is_off_is_no_reason_to_refuse() -> None:
    answer = ScriptedGateway(written("a")).post("/v1/messages", asked(thinking={"type": "disabled"}))
    assert answer.status_code == 200


def test_a_failure_in_the_middle_is_an_event() -> None:
    fault = ApiError(503, "there is no room")
    gateway = ScriptedGateway([*written("a", "b")[:2], fault])
    told = events(gateway.post("/v1/messages", asked(stream=True)).content)
    assert told[-1] == {"type": "error", "error": {"type": "overloaded_error", "message": "there is no room"}}
