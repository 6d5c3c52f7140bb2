"""What llama-index gets from a server; prints it as JSON. Arguments: as of ask_openai."""

from __future__ import annotations

import json
import sys
from typing import Any

from llama_index.core.llms import ChatMessage
from llama_index.core.tools import FunctionTool
from llama_index.llms.openai_like import OpenAILike

BASE, MODEL, _, FAULTY = sys.argv[1:5]
QUESTION = [ChatMessage(role="user", content="Where is it warm? Answer with a city.")]


def weather(city: str) -> str:
    """The weather of a city."""
    return f"25 degrees in {city}"


def main() -> None:
    make: Any = {"api_base": f"{BASE}/v1", "api_key": "none", "model": MODEL, "temperature": 0, "context_window": 2048}
    chat = OpenAILike(**make, is_chat_model=True, is_function_calling_model=True, max_tokens=6)
    whole = chat.chat(QUESTION)
    told: dict[str, Any] = {
        "chat": whole.message.content,
        "stream": "".join(part.delta or "" for part in chat.stream_chat(QUESTION)),
        "logprobs": len(chat.chat(QUESTION, logprobs=True, top_logprobs=2).logprobs or []),
    }
    base = OpenAILike(**make, is_chat_model=False, max_tokens=4)
    told["completion"] = base.complete("One two three").text
    told["streamed_completion"] = "".join(part.delta or "" for part in base.stream_complete("One two three"))
    caller = OpenAILike(**make, is_chat_model=True, is_function_calling_model=True, max_tokens=90)
    called = caller.chat_with_tools(
        [FunctionTool.from_defaults(weather)], QUESTION[0], tool_required=True, allow_parallel_tool_calls=False
    )
    (call,) = caller.get_tool_calls_from_response(called)
    told["call"] = [call.tool_name, sorted(call.tool_kwargs)]
    patient = OpenAILike(**{**make, "api_base": f"{FAULTY}/v1", "model": "busy-twice"}, is_chat_model=True)
    told["patient"] = patient.chat(QUESTION).message.content
    try:
        OpenAILike(**{**make, "model": "gpt-4o"}, is_chat_model=True).chat(QUESTION)
    except Exception as error:  # noqa: BLE001  (its own classes are told by name)
        told["unknown"] = type(error).__name__
    sys.stdout.write(json.dumps(told))


main()
