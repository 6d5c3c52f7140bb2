"""`POST /v1/explain`: what it asks of the engine, what it answers, and what it refuses by name."""

from __future__ import annotations

import json
from typing import Any, get_args

import pytest
from starlette.testclient import TestClient
from tests.server.fixed_engine import JUDGE, WHY, FixedEngine
from tests.server.scripted import ScriptedGateway

from wenlu.explanation.baselines import Baseline
from wenlu.explanation.settings import NAMES
from wenlu.explanation.units import Level
from wenlu.server.dialects.explanations import BaselineName, MethodName, UnitName
from wenlu.server.http.app import Doors, build_app
from wenlu.server.http.errors import ApiError
from wenlu.server.http.served import Served
from wenlu.server.messages import Explain, Explained
from wenlu.server.settings import Limits
from wenlu.server.store.database import OWNER, open_store
from wenlu.server.store.ring import Ring


def test_the_answer_is_that_of_the_command_with_the_model_and_its_tokens() -> None:
    gateway = ScriptedGateway(replies=[Explained(id=1, told=WHY, tokens=2)])
    body = {"model": "reviews", "input": {"text": "not bad", "pair": "a"}, "target": "good", "orders": 30, "seed": 3}
    answer = gateway.post("/v1/explain", body)
    usage = {"prompt_tokens": 2, "total_tokens": 2}
    assert answer.json() == {"object": "explanation", "model": "reviews", **WHY, "usage": usage}
    (request,) = gateway.asked
    assert isinstance(request, Explain)
    assert (request.model, request.example) == ("reviews", {"text": "not bad", "pair": "a"})
    assert request.settings == {"target": "good", "orders": 30, "seed": 3}
    assert (request.most_tokens, request.deadline_seconds) == (Limits().explain_tokens, Limits().explain_seconds)


def test_a_text_alone_is_the_first_column() -> None:
    gateway = ScriptedGateway(replies=[Explained(id=1, told=WHY, tokens=2)])
    assert gateway.post("/v1/explain", {"model": "reviews", "input": "not bad", "seed": None}).status_code == 200
    (request,) = gateway.asked
    assert isinstance(request, Explain)
    assert (request.example, request.settings) == ({"text": "not bad"}, {})


@pytest.mark.parametrize(
    ("fields", "param", "message"),
    [
        ({}, "input", "input is required"),
        ({"input": "a", "tarket": "good"}, "tarket", "did you mean target?"),
        ({"input": "a", "method": "lime"}, "method", "'lime'"),
        ({"input": "a", "unit": "line"}, "unit", "'line'"),
        ({"input": "a", "baseline": "noise"}, "baseline", "'noise'"),
        ({"input": "a", "attention": True}, "attention", "unknown parameter"),
        ({"input": "a", "randomisations": 0}, "randomisations", "unknown parameter"),
        ({"input": ["a"]}, "input", ""),
        ({"input": {"txt": "a"}}, "input.txt", "did you mean text?"),
        ({"input": "a", "method": "shapley", "samples": 65}, "samples", "65; at most 64"),
        ({"input": "a", "method": "shapley", "samples": 1}, "samples", "greater than or equal to 2"),
        ({"input": "a", "samples": 8}, "samples", "leave it out"),
        ({"input": "a", "orders": 201}, "orders", "201; at most 200"),
        ({"input": "a", "orders": 0}, "orders", "greater than or equal to 1"),
        ({"input": "a", "seed": -1}, "seed", "greater than or equal to 0"),
    ],
)
def test_what_cannot_be_done_is_refused_by_name(fields: dict[str, Any], param: str, message: str) -> None:
    gateway = ScriptedGateway()
    answer = gateway.post("/v1/explain", {"model": "reviews", **fields})
    assert (answer.status_code, answer.json()["error"]["param"]) == (400, param), answer.text
    assert message in answer.json()["error"]["message"]
    assert gateway.asked == []


def test_a_word_is_named_to_taggers_alone() -> None:
    served = Served(FixedEngine(), Limits())
    with TestClient(build_app(served)) as client:
        answer = client.post("/v1/explain", json={"model": "judge", "input": "a", "at": "a"})
    assert (answer.status_code, answer.json()["error"]["param"]) == (400, "at")


def test_a_model_that_is_not_explained_names_those_that_are() -> None:
    with TestClient(build_app(Served(FixedEngine(), Limits()))) as client:
        answer = client.post("/v1/explain", json={"model": "writer", "input": "a"})
        listed = client.get("/v1/models").json()["data"]
    assert (answer.status_code, answer.json()["error"]["code"]) == (400, "model_cannot")
    assert "models that explain: judge" in answer.json()["error"]["message"]
    assert [model["capabilities"] for model in listed][1] == ["classify", "explain"]


def test_faults_of_the_engine_name_the_fields_of_the_client() -> None:
    wrong = ApiError(400, "target='x': the model knows no such", param="settings.target", code="invalid_request")
    late = ApiError(503, "no explanation within 60 seconds", code="deadline_exceeded", retry_after=5.0)
    gateway = ScriptedGateway(replies=[wrong, late])
    answers = [gateway.post("/v1/explain", {"model": "reviews", "input": "a", "target": "x"}) for _ in range(2)]
    assert answers[0].json()["error"]["param"] == "target"
    assert answers[1].status_code == 503
    assert answers[1].headers["x-should-retry"] == "false", "it would take as long again"


def test_without_a_key_nothing_is_explained(tmp_path: Any) -> None:
    engine = FixedEngine()
    ring = Ring(open_store(str(tmp_path / "keys.db")), OWNER, "a-key-of-sixteen-letters")
    with TestClient(build_app(Served(engine, Limits()), doors=Doors(ring=ring))) as client:
        body = {"model": JUDGE.name, "input": "a"}
        assert client.post("/v1/explain", json=body).status_code == 401
        assert engine.asked == []
        keyed = {"authorization": "Bearer a-key-of-sixteen-letters"}
        assert client.post("/v1/explain", json=body, headers=keyed).status_code == 200


def test_the_names_are_those_of_the_command() -> None:
    assert set(get_args(MethodName)) == {"auto", *NAMES}
    assert set(get_args(UnitName)) == {"auto", *get_args(Level)}
    assert set(get_args(BaselineName)) == set(get_args(Baseline))


def test_the_document_tells_its_fields_and_the_verdicts() -> None:
    with TestClient(build_app(Served(FixedEngine(), Limits()))) as client:
        operation = client.get("/openapi.json").json()["paths"]["/v1/explain"]["post"]
    fields = operation["requestBody"]["content"]["application/json"]["schema"]["properties"]
    assert set(fields) >= {"input", "target", "against", "at", "method", "unit", "baseline", "samples", "orders"}
    told = json.dumps(operation["responses"]["200"])
    assert '"valid"' in told
    assert '"unfaithful"' in told
