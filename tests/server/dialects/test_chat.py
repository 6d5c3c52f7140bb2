from __future__ import annotations

import json
from typing import Any

import pytest
from tests.server.scripted import ScriptedGateway, token, written

from wenlu.server.http.errors import ApiError
from wenlu.server.messages import ChatPrompt, Delta, Done, Form, Rules, Started

USER = {"role": "user", "content": "hi"}
WEATHER = {
    "type": "function",
    "function": {"name": "weather", "description": "of a city", "parameters": {"type": "object"}, "strict": True},
}
CALL = {"id": "call_1", "type": "function", "function": {"name": "weather", "arguments": '{"city": "Oslo"}'}}


def asked(**more: Any) -> dict[str, Any]:
    return {"model": "tiny", "messages": [USER], **more}


def prompt_of(**more: Any) -> ChatPrompt:
    gateway = ScriptedGateway(written("a"))
    answer = gateway.post("/v1/chat/completions", asked(**more))
    assert answer.status_code == 200, answer.text
    prompt = gateway.generated[0].prompt
    assert isinstance(prompt, ChatPrompt)
    return prompt


def test_what_is_asked_reaches_the_engine_in_its_own_words() -> None:
    gateway = ScriptedGateway(written("a"))
    gateway.post(
        "/v1/chat/completions",
        asked(
            temperature=0.5,
            top_p=0.9,
            top_k=5,
            min_p=0.1,
            presence_penalty=1,
            frequency_penalty=-1,
            repetition_penalty=1.2,
            logit_bias={"7": -100},
            seed=-1,
            stop=["\n", "。"],
            max_tokens=3,
            cache_salt="s",
            ignore_eos=True,
            logprobs=True,
        ),
    )
    request = gateway.generated[0]
    assert request.rules == Rules(
        temperature=0.5,
        top_p=0.9,
        top_k=5,
        min_p=0.1,
        presence_penalty=1,
        frequency_penalty=-1,
        repetition_penalty=1.2,
        logit_bias={7: -100.0},
    )
    assert (request.seed, request.stop, request.max_tokens) == (2**64 - 1, ("\n", "。"), 3)
    assert (request.salt, request.ignore_end, request.logprobs, request.echo) == ("s", True, 0, False)


def test_left_away_fields_are_those_of_openai() -> None:
    gateway = ScriptedGateway(written("a"))
    gateway.post("/v1/chat/completions", asked(stop=None, tools=None, max_completion_tokens=None))
    request = gateway.generated[0]
    assert (request.rules, request.max_tokens, request.n, request.seed, request.logprobs) == (
        Rules(),
        None,
        1,
        None,
        None,
    )
    assert request.rules.temperature == 1


def test_a_top_p_of_zero_is_greedy() -> None:
    gateway = ScriptedGateway(written("a"))
    gateway.post("/v1/chat/completions", asked(top_p=0))
    assert gateway.generated[0].rules == Rules(temperature=0)


def test_messages_reach_the_template_with_calls_as_objects_and_results_by_name() -> None:
    messages = [
        {"role": "developer", "content": [{"type": "text", "text": "Be"}, {"type": "text", "text": "brief."}]},
        USER,
        {"role": "assistant", "content": None, "tool_calls": [CALL], "refusal": None},
        {"role": "tool", "content": "rain", "tool_call_id": "call_1"},
    ]
    prompt = prompt_of(messages=messages, tools=[WEATHER], parallel_tool_calls=False)
    function = {"name": "weather", "arguments": {"city": "Oslo"}}
    assert prompt.messages == (
        {"role": "system", "content": "Be\nbrief."},
        USER,
        {
            "role": "assistant",
            "content": "",
            "tool_calls": [{"id": "call_1", "type": "function", "function": function}],
        },
        {"role": "tool", "content": "rain", "tool_call_id": "call_1", "name": "weather"},
    )
    assert prompt.tools == (WEATHER,)
    assert (prompt.tool_choice, prompt.parallel) == ("auto", False)


@pytest.mark.parametrize(
    ("choice", "told"),
    [
        ("auto", "auto"),
        ("none", "none"),
        ("required", "required"),
        ({"type": "function", "function": {"name": "weather"}}, "weather"),
    ],
)
def test_the_choice_of_a_tool_is_told(choice: Any, told: str) -> None:
    assert prompt_of(tools=[WEATHER], tool_choice=choice).tool_choice == told


@pytest.mark.parametrize(
    ("fields", "form"),
    [
        ({"response_format": {"type": "text"}}, None),
        ({"response_format": {"type": "json_object"}}, Form(json_schema='{"type": "object"}')),
        (
            {
                "response_format": {
                    "type": "json_schema",
                    "json_schema": {"name": "n", "strict": True, "schema": {"const": None}},
                }
            },
            Form(json_schema='{"const": null}'),
        ),
        ({"guided": {"regex": "a+"}}, Form(regex="a+")),
        ({"guided": {"grammar": 'start: "a"'}}, Form(grammar='start: "a"')),
        ({"guided": {"choices": ["是", "否"]}}, Form(choices=("是", "否"))),
    ],
)
def test_forms_reach_the_engine(fields: dict[str, Any], form: Form | None) -> None:
    gateway = ScriptedGateway(written("a"))
    assert gateway.post("/v1/chat/completions", asked(**fields)).status_code == 200
    assert gateway.generated[0].form == form


def test_calls_of_a_whole_answer_have_ids_and_no_content_beside_them() -> None:
    text = '<tool_call>{"name": "weather", "arguments": {"city": "Oslo"}}</tool_call>'
    answer = ScriptedGateway(written(text, text)).post("/v1/chat/completions", asked(tools=[WEATHER])).json()
    (choice,) = answer["choices"]
    assert choice["finish_reason"] == "tool_calls"
    assert choice["message"]["content"] is None
    first, second = choice["message"]["tool_calls"]
    assert first["id"] != second["id"]
    assert first["function"] == {"name": "weather", "arguments": '{"city": "Oslo"}'}


def test_log_probabilities_are_one_entry_a_token_with_bytes() -> None:
    events = [
        Started(id=1, prompt_tokens=1),
        Delta(id=1, choice=0, text="ab", count=2, tokens=(token(1, "a"), token(2, "b", -1.5)), finish="stop"),
        Done(id=1),
    ]
    answer = ScriptedGateway(events).post("/v1/chat/completions", asked(logprobs=True)).json()
    assert answer["choices"][0]["logprobs"] == {
        "content": [
            {"token": "a", "logprob": -0.5, "bytes": [97], "top_logprobs": []},
            {"token": "b", "logprob": -1.5, "bytes": [98], "top_logprobs": []},
        ],
        "refusal": None,
    }


def test_ids_are_told_where_they_are_asked_for() -> None:
    events = [
        Started(id=1, prompt_tokens=2, prompt=(token(3, "h", None), token(4, "i"))),
        Delta(id=1, choice=0, text="a", count=1, tokens=(token(1, "a"),), finish="stop", stopped_by="。"),
        Done(id=1),
    ]
    answer = ScriptedGateway(events).post("/v1/chat/completions", asked(return_token_ids=True)).json()
    assert answer["prompt_token_ids"] == [3, 4]
    assert answer["choices"][0]["token_ids"] == [1]
    assert answer["choices"][0]["logprobs"] is None
    assert answer["choices"][0]["stop_reason"] == "。"


def test_what_changes_nothing_is_ignored_and_named_in_a_header() -> None:
    answer = ScriptedGateway(written("a")).post(
        "/v1/chat/completions", asked(metadata={"a": "b"}, store=False, service_tier="auto", modalities=["text"])
    )
    assert answer.status_code == 200
    assert answer.headers["x-ignored-params"] == "metadata, store, service_tier, modalities"


@pytest.mark.parametrize(
    ("fields", "param", "message"),
    [
        ({"top_temperature": 1}, "top_temperature", "did you mean temperature?"),
        ({"store": True}, "store", "can be False"),
        ({"audio": {"voice": "x"}}, "audio", "no model here speaks"),
        ({"modalities": ["audio"]}, "modalities", "not supported"),
        ({"functions": []}, "functions", "older form of tools"),
        ({"reasoning_effort": "low"}, "reasoning_effort", "chat_template_kwargs"),
        ({"web_search_options": {}}, "web_search_options", "searches the web"),
        ({"temperature": 3}, "temperature", "less than or equal to 2"),
        ({"temperature": "1"}, "temperature", "valid number"),
        ({"n": 17}, "n", "at most 16"),
        ({"stop": ["a"] * 17}, "stop", "at most 16"),
        ({"stop": ""}, "stop", "at least 1 character"),
        ({"logit_bias": {"a": 1}}, "logit_bias.a", "pattern"),
        ({"top_logprobs": 2}, "top_logprobs", '"logprobs": true'),
        ({"logprobs": True, "top_logprobs": 21}, "top_logprobs", "less than or equal to 20"),
        ({"max_tokens": 1, "max_completion_tokens": 2}, "max_tokens", "say one"),
        ({"max_tokens": 0}, "max_tokens", "greater than or equal to 1"),
        ({"stream_options": {"include_usage": True}}, "stream_options", "only for answers that stream"),
        ({"tool_choice": "required"}, "tool_choice", "no tools"),
        ({"tools": [WEATHER, WEATHER]}, "tools", "comes twice"),
        ({"tools": [WEATHER], "response_format": {"type": "json_object"}}, "response_format", "cannot be a call"),
        ({"guided": {"regex": "a", "grammar": "b"}}, "guided", "give one of"),
        ({"guided": {"regexp": "a"}}, "guided.regexp", "unknown parameter"),
        ({"response_format": {"type": "xml"}}, "response_format", "xml"),
        ({"messages": []}, "messages", "at least 1 item"),
        ({"messages": [{"role": "user"}]}, "messages.0.content", "required"),
        ({"messages": [{"role": "function", "content": "x"}]}, "messages.0.role", "'function'"),
        ({"messages": [{**USER, "tool_calls": [CALL]}]}, "messages.0.tool_calls", "only an assistant"),
        ({"messages": [{"role": "tool", "content": "x"}]}, "messages.0.tool_call_id", "required"),
        (
            {"messages": [{"role": "user", "content": [{"type": "image_url", "image_url": {"url": "x"}}]}]},
            "messages.0.content.0.image_url.url",
            "addresses are not fetched",
        ),
        (
            {"messages": [{"role": "user", "content": [{"type": "image_url", "image_url": {}}]}]},
            "messages.0.content.0.image_url.url",
            "must be a data URL",
        ),
        (
            {"messages": [{"role": "system", "content": [{"type": "image_url", "image_url": {"url": "data:x"}}]}]},
            "messages.0.content.0.type",
            "images are what a user shows",
        ),
        ({"messages": [{"role": "user", "content": [{"type": "text"}]}]}, "messages.0.content.0.text", "string"),
        ({"continue_final_message": True}, "continue_final_message", "assistant's"),
    ],
)
def test_what_cannot_be_done_is_refused_by_name(fields: dict[str, Any], param: str, message: str) -> None:
    gateway = ScriptedGateway(written("a"))
    answer = gateway.post("/v1/chat/completions", asked(**fields))
    error = answer.json()["error"]
    assert answer.status_code == 400, answer.text
    assert error["param"] == param
    assert message in error["message"]
    assert error["type"] == "invalid_request_error"
    assert answer.headers["x-should-retry"] == "false"
    assert gateway.generated == []


def test_a_broken_call_in_the_messages_is_refused_by_its_place() -> None:
    broken = {**CALL, "function": {"name": "weather", "arguments": "{"}}
    messages = [USER, {"role": "assistant", "tool_calls": [broken]}]
    answer = ScriptedGateway().post("/v1/chat/completions", asked(messages=messages))
    assert answer.json()["error"]["param"] == "messages.1.tool_calls.0.function.arguments"


def test_an_unknown_model_is_a_404() -> None:
    answer = ScriptedGateway().post("/v1/chat/completions", {**asked(), "model": "gpt-4o"})
    assert (answer.status_code, answer.json()["error"]["code"]) == (404, "model_not_found")


def test_a_model_without_a_chat_template_says_what_it_can_do() -> None:
    answer = ScriptedGateway().post("/v1/chat/completions", {**asked(), "model": "reviews"})
    assert answer.status_code == 400
    assert "classify" in answer.json()["error"]["message"]


def test_the_fingerprint_depends_on_the_model() -> None:
    gateway = ScriptedGateway(written("a"))
    first = gateway.post("/v1/chat/completions", asked()).json()
    again = gateway.post("/v1/chat/completions", asked()).json()
    assert first["system_fingerprint"] == again["system_fingerprint"]
    assert first["id"] != again["id"]
    assert json.dumps(first).count("\ufffd") == 0


@pytest.mark.parametrize("name", ["max_tokens", "max_completion_tokens"])
def test_a_failure_names_the_clients_own_field(name: str) -> None:
    for own, told in (("max_tokens", name), ("rules.logit_bias", "logit_bias"), ("prompt.tools", "tools")):
        gateway = ScriptedGateway([ApiError(400, "no", param=own)])
        answer = gateway.post("/v1/chat/completions", asked(**{name: 3}))
        assert answer.json()["error"]["param"] == told
