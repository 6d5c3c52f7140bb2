"""What langchain-openai gets from a server; prints it as JSON. Arguments: as of ask_openai."""

from __future__ import annotations

import json
import sys
from typing import Any

import openai
from langchain_openai import ChatOpenAI, OpenAIEmbeddings
from pydantic import BaseModel

BASE, MODEL, EMBEDDER, FAULTY = sys.argv[1:5]
QUESTION = "Where is it warm? Answer with a city."


class Place(BaseModel):
    """A place."""

    warm: bool


def weather(city: str) -> str:
    """The weather of a city."""
    return f"25 degrees in {city}"


def main() -> None:
    told: dict[str, Any] = {}
    make: Any = {"base_url": f"{BASE}/v1", "api_key": "none", "model": MODEL, "temperature": 0}
    chat = ChatOpenAI(**make, max_completion_tokens=6)
    whole = chat.invoke(QUESTION)
    told["chat"] = [whole.content, whole.response_metadata["finish_reason"], whole.usage_metadata["output_tokens"]]
    chunks = list(chat.stream(QUESTION, stream_usage=True))
    told["stream"] = "".join(chunk.content for chunk in chunks)
    told["written"] = sum((chunk.usage_metadata or {}).get("output_tokens", 0) for chunk in chunks)
    longer = ChatOpenAI(**make, max_completion_tokens=90)
    called = longer.bind_tools([weather], tool_choice="required", parallel_tool_calls=False).invoke(QUESTION)
    told["call"] = [called.tool_calls[0]["name"], sorted(called.tool_calls[0]["args"])]
    told["schema"] = longer.with_structured_output(Place, method="json_schema").invoke(QUESTION).model_dump()
    embed: Any = {"base_url": f"{BASE}/v1", "api_key": "none", "model": EMBEDDER}
    vectors = OpenAIEmbeddings(**embed, check_embedding_ctx_length=False).embed_documents(["a cat", "a dog"])
    told["embeddings"] = [len(vectors), len(vectors[0])]
    try:
        OpenAIEmbeddings(**embed).embed_query("The quick brown fox jumps over the lazy dog.")
    except openai.BadRequestError as error:
        told["foreign_ids"] = error.message
    except Exception as error:  # noqa: BLE001  (its tokenizer is fetched, which a machine without a network cannot)
        told["foreign_ids"] = f"no ids: {type(error).__name__}"
    try:
        ChatOpenAI(**{**make, "model": "gpt-4o"}).invoke(QUESTION)
    except openai.NotFoundError as error:
        told["unknown"] = error.code
    told["patient"] = ChatOpenAI(**{**make, "base_url": f"{FAULTY}/v1", "model": "busy-twice"}).invoke(QUESTION).content
    sys.stdout.write(json.dumps(told))


main()
