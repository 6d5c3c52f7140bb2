"""What the openai SDK, version 2 or 3, gets from a server; prints it as JSON.

Arguments: base URL, model, embedder, base URL of a server that fails.
"""

from __future__ import annotations

import json
import sys
from typing import Any

import openai
from pydantic import BaseModel

BASE, MODEL, EMBEDDER, FAULTY = sys.argv[1:5]
USER: Any = [{"role": "user", "content": "Where is it warm? Answer with a city."}]
WEATHER: Any = {
    "type": "function",
    "function": {
        "name": "weather",
        "description": "The weather of a city.",
        "parameters": {
            "type": "object",
            "properties": {"city": {"type": "string", "maxLength": 6}},
            "required": ["city"],
            "additionalProperties": False,
        },
    },
}


class Place(BaseModel):
    warm: bool
    stars: int


def refusal(call: Any) -> list[Any]:
    try:
        call()
    except openai.APIStatusError as error:
        return [type(error).__name__, error.status_code, error.code, error.param]
    return ["nothing was refused"]


def main() -> None:
    client = openai.OpenAI(base_url=f"{BASE}/v1", api_key="none")
    told: dict[str, Any] = {"version": openai.__version__, "models": [model.id for model in client.models.list()]}
    chat = client.chat.completions
    asked: Any = {"model": MODEL, "messages": USER, "max_completion_tokens": 6, "temperature": 0}

    whole = chat.create(**asked, logprobs=True, top_logprobs=2)
    entries = whole.choices[0].logprobs.content
    told["chat"] = {
        "text": whole.choices[0].message.content,
        "finish": whole.choices[0].finish_reason,
        "written": whole.usage.completion_tokens,
        "spelt": bytes(byte for entry in entries for byte in entry.bytes).decode(),
        "top": [len(entry.top_logprobs) for entry in entries],
    }
    chunks = list(chat.create(**asked, stream=True, stream_options={"include_usage": True}))
    told["stream"] = {
        "text": "".join(choice.delta.content or "" for chunk in chunks for choice in chunk.choices),
        "role": chunks[0].choices[0].delta.role,
        "finish": [choice.finish_reason for chunk in chunks for choice in chunk.choices if choice.finish_reason],
        "written": chunks[-1].usage.completion_tokens,
    }
    several = chat.create(**{**asked, "temperature": 1}, n=2, seed=7)
    again = chat.create(**{**asked, "temperature": 1}, n=2, seed=7)
    told["seed"] = [[choice.message.content for choice in one.choices] for one in (several, again)]

    forced = {**asked, "tools": [WEATHER], "tool_choice": "required", "max_completion_tokens": 90}
    (call,) = chat.create(**forced, parallel_tool_calls=False).choices[0].message.tool_calls
    told["call"] = [call.function.name, json.loads(call.function.arguments)]
    with chat.stream(**forced, parallel_tool_calls=False) as stream:
        last = stream.get_final_completion().choices[0]
    told["streamed_call"] = [last.message.tool_calls[0].function.name, last.finish_reason]
    result: Any = [
        *USER,
        {"role": "assistant", "tool_calls": [call.model_dump()]},
        {"role": "tool", "tool_call_id": call.id, "content": "25 degrees"},
    ]
    told["after_call"] = chat.create(**{**asked, "messages": result, "tools": [WEATHER]}).choices[0].message.role

    parsed = chat.parse(**{**asked, "max_completion_tokens": 90}, response_format=Place).choices[0].message.parsed
    told["schema"] = parsed.model_dump()

    text = client.completions.create(
        model=MODEL, prompt="One two three", max_tokens=2, temperature=0, echo=True, logprobs=1
    )
    told["completion"] = {
        "begins": text.choices[0].text.startswith("One two three"),
        "first": text.choices[0].logprobs.token_logprobs[0],
        "tokens": len(text.choices[0].logprobs.tokens) - text.usage.total_tokens,
    }
    packed = client.embeddings.create(model=EMBEDDER, input=["a cat", "a dog"])
    plain = client.embeddings.create(model=EMBEDDER, input=["a cat", "a dog"], encoding_format="float")
    told["embeddings"] = [len(packed.data), len(packed.data[0].embedding)]
    told["same_embeddings"] = all(
        abs(left - right) < 1e-6
        for one, other in zip(packed.data, plain.data, strict=True)
        for left, right in zip(one.embedding, other.embedding, strict=True)
    )
    raw = chat.with_raw_response.create(**asked, metadata={"a": "b"})
    told["ignored"] = raw.headers["x-ignored-params"]
    told["errors"] = [
        refusal(lambda: chat.create(**{**asked, "model": "gpt-4o"})),
        refusal(lambda: chat.create(**{**asked, "temperature": 9})),
        refusal(lambda: chat.create(**asked, extra_body={"beams": 2})),
        refusal(lambda: chat.create(**{**asked, "messages": [{"role": "user", "content": "long " * 9000}]})),
    ]
    told["faulty"] = faulty()
    sys.stdout.write(json.dumps(told))


def faulty() -> dict[str, Any]:
    """A server that is busy twice, always, or breaks in the middle."""
    patient = openai.OpenAI(base_url=f"{FAULTY}/v1", api_key="none")
    hasty = patient.with_options(max_retries=0)
    asked: Any = {"messages": USER}
    told: dict[str, Any] = {
        "patient": patient.chat.completions.create(model="busy-twice", **asked).choices[0].message.content,
        "hasty": refusal(lambda: hasty.chat.completions.create(model="busy", **asked)),
        "wrong": refusal(lambda: patient.chat.completions.create(model="wrong", **asked)),
    }
    seen = ""
    try:
        for chunk in patient.chat.completions.create(model="breaks", stream=True, **asked):
            seen += chunk.choices[0].delta.content or ""
    except openai.APIError as error:
        told["broken"] = [seen, error.message]
    return told


main()
