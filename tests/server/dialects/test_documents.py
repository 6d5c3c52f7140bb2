"""What is documented is what is answered: each answer is checked by its own schema."""

from __future__ import annotations

import json
from typing import Any

import jsonschema_rs
import pytest
from tests.server.dialects.test_embeddings import VECTORS
from tests.server.dialects.test_tasks import ROWS
from tests.server.scripted import ScriptedGateway, written

from wenlu.server.messages import Answers, Description, Tokens

USER = {"role": "user", "content": "hi"}
DESCRIBED = Description(id=1, specials={}, bos=None, eos=None, pad=None, vocab_size=9, context=None, chat_template=None)
REQUESTS: tuple[tuple[str, str, Any, Any], ...] = (
    ("POST", "/v1/chat/completions", {"model": "tiny", "messages": [USER], "logprobs": True}, None),
    ("POST", "/v1/completions", {"model": "tiny", "prompt": [1], "logprobs": 2, "echo": True}, None),
    ("POST", "/v1/embeddings", {"model": "tiny", "input": "a"}, VECTORS),
    ("POST", "/v1/messages", {"model": "tiny", "max_tokens": 3, "messages": [USER]}, None),
    ("POST", "/v1/messages/count_tokens", {"model": "tiny", "messages": [USER]}, Tokens(id=1, ids=(1,))),
    ("POST", "/tokenize", {"prompt": "a b"}, Tokens(id=1, ids=(1,))),
    ("POST", "/detokenize", {"tokens": [1]}, Tokens(id=1, text="a")),
    ("GET", "/tokenizer_info", None, DESCRIBED),
    ("GET", "/v1/models", None, None),
    *(
        ("POST", f"/v1/{ability}", {"model": "reviews", "input": "a b"}, Answers(id=1, rows=(row,), tokens=1))
        for ability, (row, _) in ROWS.items()
    ),
)


@pytest.fixture(scope="module")
def document() -> dict[str, Any]:
    answer = ScriptedGateway().send("GET", "/openapi.json")
    assert "$ref" not in answer.text
    told: dict[str, Any] = answer.json()
    return told


@pytest.mark.parametrize(("method", "path", "body", "reply"), REQUESTS, ids=[path for _, path, *_ in REQUESTS])
def test_answers_and_refusals_have_the_form_that_the_document_says(
    document: dict[str, Any], method: str, path: str, body: Any, reply: Any
) -> None:
    route = document["paths"][path][method.lower()]
    gateway = ScriptedGateway(written("a", "b"), replies=[reply])
    answer = gateway.send(method, path, body)
    assert answer.status_code == 200, answer.text
    _validator(route, 200).validate(answer.json())
    if body is None:
        return
    asked = jsonschema_rs.validator_for(route["requestBody"]["content"]["application/json"]["schema"])
    asked.validate(body)
    wrong = {**body, "nonsense": 1}
    assert not asked.is_valid(wrong)
    refusal = gateway.send(method, path, wrong)
    assert refusal.status_code == 400
    _validator(route, 400).validate(refusal.json())


def _validator(route: dict[str, Any], status: int) -> Any:
    schema = route["responses"][str(status)]["content"]["application/json"]["schema"]
    return jsonschema_rs.validator_for(json.dumps(schema))


def test_models_are_told_with_what_they_can_be_asked() -> None:
    gateway = ScriptedGateway()
    first, second = gateway.send("GET", "/v1/models").json()["data"]
    assert first == {
        "id": "tiny",
        "object": "model",
        "created": 1_700_000_000,
        "owned_by": "wenlu",
        "max_model_len": 128,
        "capabilities": ["chat", "complete", "embed"],
        "task": None,
        "labels": [],
        "columns": [],
        "parent": None,
        "loaded": True,
        "sees": False,
    }
    assert gateway.send("GET", "/v1/models/reviews").json() == second
    assert second["parent"] == "tiny"
    assert gateway.send("GET", "/v1/models/gpt-4o").json()["error"]["code"] == "model_not_found"


@pytest.mark.parametrize("path", ["/v1/responses", "/v1/responses/resp_1", "/v1/responses/resp_1/cancel", "/api/chat"])
def test_what_is_not_served_says_what_to_ask_instead(path: str) -> None:
    for method in ("POST", "GET"):
        answer = ScriptedGateway().send(method, path)
        assert (answer.status_code, answer.json()["error"]["code"]) == (404, "not_served")
        assert "ask" in answer.json()["error"]["message"]
