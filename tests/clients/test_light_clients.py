"""Real clients, each in its own environment, against one server of a real model; failures come from a second one."""

from __future__ import annotations

import json
from typing import Any

import pytest
from tests.clients.conftest import Say
from tests.clients.servers import Faulty

UNKNOWN = ["NotFoundError", 404, "model_not_found", "model"]


@pytest.mark.parametrize("client", ["openai2", "openai3"])
def test_the_openai_sdk_reads_all_that_is_told(client: str, ask: Say, failing: tuple[str, Faulty]) -> None:
    tries = failing[1].tries
    tries.clear()
    told = json.loads(ask(client, "ask_openai.py"))
    assert told["version"].startswith(client[-1])
    assert told["models"] == ["smollm2", "vectors"]
    chat, stream = told["chat"], told["stream"]
    assert chat["text"]
    assert chat["text"] == chat["spelt"] == stream["text"]
    assert (chat["finish"], chat["written"]) == ("length", 6)
    assert chat["top"] == [2] * 6
    assert (stream["role"], stream["finish"], stream["written"]) == ("assistant", ["length"], 6)
    assert told["seed"][0] == told["seed"][1]
    assert told["seed"][0][0] != told["seed"][0][1]
    assert told["call"][0] == told["streamed_call"][0] == "weather"
    assert list(told["call"][1]) == ["city"]
    assert told["streamed_call"][1] == "tool_calls"
    assert told["after_call"] == "assistant"
    assert {name: type(value) for name, value in told["schema"].items()} == {"warm": bool, "stars": int}
    assert told["completion"] == {"begins": True, "first": None, "tokens": 0}
    assert told["embeddings"] == [2, 32]
    assert told["same_embeddings"]
    assert told["ignored"] == "metadata"
    assert told["errors"][:3] == [
        UNKNOWN,
        ["BadRequestError", 400, "invalid_value", "temperature"],
        ["BadRequestError", 400, "unknown_parameter", "beams"],
    ]
    assert told["errors"][3] == ["BadRequestError", 400, "context_length_exceeded", "messages"]
    faulty = told["faulty"]
    assert faulty["patient"] == "at last"
    assert faulty["hasty"] == ["RateLimitError", 429, "busy", None]
    assert faulty["wrong"] == ["InternalServerError", 500, "engine_failed", None]
    assert faulty["broken"] == ["so far", "the model's process ended"]
    assert tries == {"busy-twice": 3, "busy": 1, "wrong": 1, "breaks": 1}


def test_the_anthropic_sdk_reads_all_that_is_told(ask: Say, failing: tuple[str, Faulty]) -> None:
    tries = failing[1].tries
    tries.clear()
    told = json.loads(ask("anthropic", "ask_anthropic.py"))
    assert told["chat"]["text"] == told["stream"]["text"] != ""
    assert told["chat"]["reason"] == "max_tokens"
    assert told["chat"]["read"] == told["stream"]["read"] == told["counted"] > 0
    assert told["stream"]["written"] == [6, 6]
    assert told["call"][0] == told["streamed_call"][0] == "weather"
    assert told["call"][1] == told["streamed_call"][1]
    assert list(told["call"][1]) == ["city"]
    assert told["call"][2] == "tool_use"
    assert told["after_call"] == "assistant"
    assert type(told["schema"]["warm"]) is bool
    assert told["errors"] == [
        ["NotFoundError", 404, "not_found_error"],
        ["BadRequestError", 400, "invalid_request_error"],
        ["BadRequestError", 400, "invalid_request_error"],
    ]
    faulty = told["faulty"]
    assert faulty["patient"] == "at last"
    assert faulty["hasty"] == ["RateLimitError", 429, "rate_limit_error"]
    assert faulty["wrong"] == ["InternalServerError", 500, "api_error"]
    assert faulty["broken"] == ["so far", "the model's process ended"]
    assert tries == {"busy-twice": 3, "busy": 1, "wrong": 1, "breaks": 1}


def test_llm_reads_all_that_is_told(ask: Say) -> None:
    told: dict[str, Any] = json.loads(ask("llm", "ask_llm.py"))
    assert told["chat"] == told["stream"] != ""
    assert told["written"] == 6
    assert told["completion"]
    assert type(told["schema"]["warm"]) is bool
    assert told["tools"] in (0, 1)  # the model may call or not
    assert told["patient"] == "at last"
    assert "gpt-4o" in told["unknown"]


def test_langchain_reads_all_that_is_told(ask: Say) -> None:
    told: dict[str, Any] = json.loads(ask("langchain_openai", "ask_langchain.py"))
    assert told["chat"][0] == told["stream"] != ""
    assert told["chat"][1:] == ["length", 6]
    assert told["written"] == 6
    assert told["call"] == ["weather", ["city"]]
    assert type(told["schema"]["warm"]) is bool
    assert told["embeddings"] == [2, 32]
    assert "check_embedding_ctx_length=False" in told["foreign_ids"] or told["foreign_ids"].startswith("no ids")
    assert told["unknown"] == "model_not_found"
    assert told["patient"] == "at last"
