"""The exact bytes of streams: what clients read is the wire, not our types."""

from __future__ import annotations

import json
from typing import Any

from tests.server.scripted import ScriptedGateway, plain, token, written

from wenlu.server.http.errors import ApiError
from wenlu.server.messages import Delta, Done, Started

ASKED = {"model": "tiny", "messages": [{"role": "user", "content": "hi"}], "stream": True}
HEAD = '{"id":"chatcmpl-ID","object":"chat.completion.chunk","created":1,"model":"tiny","system_fingerprint":"fp",'
WEATHER = {"type": "function", "function": {"name": "weather", "parameters": {"type": "object"}}}


def chunks(body: bytes) -> list[dict[str, Any]]:
    events = body.decode().split("\n\n")
    assert events[-1] == ""
    return [json.loads(event.removeprefix("data: ")) for event in events[:-1] if event.startswith("data: {")]


def test_a_stream_is_written_so_to_the_last_byte() -> None:
    answer = ScriptedGateway(written("你", "", "好")).post("/v1/chat/completions", ASKED)
    assert answer.headers["content-type"].startswith("text/event-stream")
    assert plain(answer.content) == (
        f'data: {HEAD}"choices":[{{"index":0,"delta":{{"role":"assistant","content":""}},'
        '"logprobs":null,"finish_reason":null}]}\n\n'
        f'data: {HEAD}"choices":[{{"index":0,"delta":{{"content":"你"}},"logprobs":null,"finish_reason":null}}]}}\n\n'
        f'data: {HEAD}"choices":[{{"index":0,"delta":{{"content":"好"}},"logprobs":null,"finish_reason":null}}]}}\n\n'
        f'data: {HEAD}"choices":[{{"index":0,"delta":{{}},"logprobs":null,"finish_reason":"stop"}}]}}\n\n'
        "data: [DONE]\n\n"
    )


def test_with_include_usage_one_last_chunk_tells_it_and_all_others_null() -> None:
    asked = {**ASKED, "stream_options": {"include_usage": True}}
    answer = ScriptedGateway(written("a", "b", finish="length")).post("/v1/chat/completions", asked)
    *others, last = chunks(answer.content)
    assert all(chunk["usage"] is None and len(chunk["choices"]) == 1 for chunk in others)
    assert last["choices"] == []
    assert last["usage"] == {
        "prompt_tokens": 7,
        "completion_tokens": 2,
        "total_tokens": 9,
        "prompt_tokens_details": {"cached_tokens": 4},
    }
    assert others[-1]["choices"][0]["finish_reason"] == "length"


def test_each_choice_has_its_role_first_and_one_finish_reason() -> None:
    events = [
        Started(id=1, prompt_tokens=7),
        Delta(id=1, choice=1, text="B", count=1),
        Delta(id=1, choice=0, text="A", count=1, finish="stop"),
        Delta(id=1, choice=1, text="b", count=1, finish="length"),
        Done(id=1),
    ]
    gateway = ScriptedGateway(events)
    told = [chunk["choices"][0] for chunk in chunks(gateway.post("/v1/chat/completions", {**ASKED, "n": 2}).content)]
    assert gateway.generated[0].n == 2
    for number, text in enumerate(("A", "Bb")):
        own = [choice for choice in told if choice["index"] == number]
        assert own[0]["delta"] == {"role": "assistant", "content": ""}
        assert "".join(choice["delta"].get("content", "") for choice in own) == text
        assert [choice["finish_reason"] for choice in own if choice["finish_reason"]] == [["stop"], ["length"]][number]


def test_a_failure_in_the_middle_ends_the_stream_with_an_error_and_without_done() -> None:
    fault = ApiError(500, "the model's process ended", code="engine_failed")
    gateway = ScriptedGateway([*written("a", "b")[:2], fault])
    answer = gateway.post("/v1/chat/completions", ASKED)
    assert answer.status_code == 200
    assert answer.text.endswith(
        'data: {"error":{"message":"the model\'s process ended","type":"api_error","param":null,'
        '"code":"engine_failed"}}\n\n'
    )
    assert gateway.open_streams == 0


def test_a_failure_before_the_first_event_has_its_own_status() -> None:
    fault = ApiError(400, "9 tokens, and the context has 8", code="context_length_exceeded")
    answer = ScriptedGateway([fault]).post("/v1/chat/completions", ASKED)
    assert answer.status_code == 400
    assert answer.json()["error"]["code"] == "context_length_exceeded"
    assert answer.json()["error"]["param"] == "messages"


def test_parallel_calls_are_told_by_index_with_their_name_first() -> None:
    text = '<tool_call>{"name": "weather", "arguments": {"c": "Oslo"}}</tool_call>'
    pieces = ["Ok. ", *text, *"\n", *text.replace("Oslo", "北京")]
    asked = {**ASKED, "tools": [WEATHER]}
    answer = ScriptedGateway(written(*pieces)).post("/v1/chat/completions", asked)
    deltas = [chunk["choices"][0]["delta"] for chunk in chunks(answer.content)]
    assert "".join(delta.get("content", "") for delta in deltas) == "Ok."
    calls = [call for delta in deltas for call in delta.get("tool_calls", [])]
    for index, city in enumerate(("Oslo", "北京")):
        first, *others = [call for call in calls if call["index"] == index]
        assert first["id"].startswith("call_")
        assert first["type"] == "function"
        assert first["function"] == {"name": "weather", "arguments": ""}
        assert all(set(call) == {"index", "function"} for call in others)
        assert json.loads("".join(call["function"]["arguments"] for call in others)) == {"c": city}
    assert len({call["id"] for call in calls if "id" in call}) == 2
    assert chunks(answer.content)[-1]["choices"][0]["finish_reason"] == "tool_calls"


def test_without_tools_a_call_is_text() -> None:
    text = '<tool_call>{"name": "weather", "arguments": {}}</tool_call>'
    for asked in (ASKED, {**ASKED, "tools": [WEATHER], "tool_choice": "none"}):
        answer = ScriptedGateway(written(*text)).post("/v1/chat/completions", asked)
        said = [chunk["choices"][0]["delta"].get("content", "") for chunk in chunks(answer.content)]
        assert "".join(said) == text


def test_every_token_has_its_log_probability_also_while_its_text_waits() -> None:
    first, second = token(5, b"\xe4\xbd", -0.1, A=-0.1, B=-2.0), token(6, b"\xa0", -0.2)
    events = [
        Started(id=1, prompt_tokens=7),
        Delta(id=1, choice=0, text="", count=1, tokens=(first,)),
        Delta(id=1, choice=0, text="你", count=1, tokens=(second,), finish="stop"),
        Done(id=1),
    ]
    asked = {**ASKED, "logprobs": True, "top_logprobs": 2}
    gateway = ScriptedGateway(events)
    told = [chunk["choices"][0] for chunk in chunks(gateway.post("/v1/chat/completions", asked).content)]
    entries = [entry for choice in told for entry in (choice["logprobs"] or {"content": []})["content"]]
    assert gateway.generated[0].logprobs == 2
    assert [entry["bytes"] for entry in entries] == [[0xE4, 0xBD], [0xA0]]
    assert bytes(byte for entry in entries for byte in entry["bytes"]).decode() == "你"
    assert entries[0]["token"] == "\\xe4\\xbd"
    assert [(top["token"], top["logprob"]) for top in entries[0]["top_logprobs"]] == [("A", -0.1), ("B", -2.0)]


def test_a_deadline_is_told_in_a_header_or_in_a_comment_of_the_stream() -> None:
    events = written("a", finish="length", deadline=True)
    streamed = ScriptedGateway(events).post("/v1/chat/completions", ASKED)
    assert ": x-stop: deadline\n\n" in streamed.text
    whole = ScriptedGateway(events).post("/v1/chat/completions", {**ASKED, "stream": False})
    assert whole.headers["x-stop"] == "deadline"
    assert whole.json()["choices"][0]["finish_reason"] == "length"
