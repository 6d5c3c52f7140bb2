"""What the anthropic SDK gets from a server; prints it as JSON. Arguments: as of ask_openai."""

from __future__ import annotations

import json
import sys
from typing import Any

import anthropic

BASE, MODEL, _, FAULTY = sys.argv[1:5]
USER: Any = [{"role": "user", "content": "Where is it warm? Answer with a city."}]
WEATHER: Any = {
    "name": "weather",
    "description": "The weather of a city.",
    "input_schema": {
        "type": "object",
        "properties": {"city": {"type": "string", "maxLength": 6}},
        "required": ["city"],
        "additionalProperties": False,
    },
}


def refusal(call: Any) -> list[Any]:
    try:
        call()
    except anthropic.APIStatusError as error:
        return [type(error).__name__, error.status_code, error.body["error"]["type"]]
    return ["nothing was refused"]


def main() -> None:
    client = anthropic.Anthropic(base_url=BASE, api_key="none")
    told: dict[str, Any] = {"version": anthropic.__version__}
    asked: Any = {"model": MODEL, "max_tokens": 6, "messages": USER, "system": "Be brief."}
    greedy: Any = {"extra_body": {"temperature": 0}}
    whole = client.messages.create(**asked, **greedy)
    told["chat"] = {"text": whole.content[0].text, "reason": whole.stop_reason, "read": whole.usage.input_tokens}
    counted = client.messages.count_tokens(model=MODEL, messages=USER, system="Be brief.")
    told["counted"] = counted.input_tokens
    with client.messages.stream(**asked, **greedy) as stream:
        text = "".join(stream.text_stream)
        last = stream.get_final_message()
    told["stream"] = {
        "text": text,
        "read": last.usage.input_tokens,
        "written": [last.usage.output_tokens, whole.usage.output_tokens],
    }
    forced: Any = {"model": MODEL, "messages": USER, "max_tokens": 90, "tools": [WEATHER], **greedy}
    forced["tool_choice"] = {"type": "tool", "name": "weather", "disable_parallel_tool_use": True}
    call = client.messages.create(**forced)
    told["call"] = [call.content[-1].name, call.content[-1].input, call.stop_reason]
    with client.messages.stream(**forced) as stream:
        streamed = stream.get_final_message().content[-1]
    told["streamed_call"] = [streamed.name, streamed.input]
    result: Any = [
        *USER,
        {"role": "assistant", "content": [block.model_dump(exclude_none=True) for block in call.content]},
        {
            "role": "user",
            "content": [{"type": "tool_result", "tool_use_id": call.content[-1].id, "content": "25 degrees"}],
        },
    ]
    told["after_call"] = client.messages.create(
        model=MODEL, max_tokens=6, messages=result, tools=[WEATHER], **greedy
    ).role
    form: Any = {
        "format": {
            "type": "json_schema",
            "schema": {
                "type": "object",
                "properties": {"warm": {"type": "boolean"}},
                "required": ["warm"],
                "additionalProperties": False,
            },
        }
    }
    schema = client.messages.create(**{**asked, "max_tokens": 90}, output_config=form, **greedy)
    told["schema"] = json.loads(schema.content[0].text)
    told["errors"] = [
        refusal(lambda: client.messages.create(**{**asked, "model": "claude"})),
        refusal(lambda: client.messages.create(**asked, thinking={"type": "enabled", "budget_tokens": 1024})),
        refusal(lambda: client.messages.create(**{**asked, "messages": [{"role": "user", "content": "long " * 9000}]})),
    ]
    told["faulty"] = faulty()
    sys.stdout.write(json.dumps(told))


def faulty() -> dict[str, Any]:
    """A server that is busy twice, always, or breaks in the middle."""
    patient = anthropic.Anthropic(base_url=FAULTY, api_key="none")
    hasty = patient.with_options(max_retries=0)
    asked: Any = {"messages": USER, "max_tokens": 6}
    told: dict[str, Any] = {
        "patient": patient.messages.create(model="busy-twice", **asked).content[0].text,
        "hasty": refusal(lambda: hasty.messages.create(model="busy", **asked)),
        "wrong": refusal(lambda: patient.messages.create(model="wrong", **asked)),
    }
    seen = ""
    try:
        with patient.messages.stream(model="breaks", **asked) as stream:
            for text in stream.text_stream:
                seen += text
    except anthropic.APIError as error:
        told["broken"] = [seen, error.body["error"]["message"]]
    return told


main()
