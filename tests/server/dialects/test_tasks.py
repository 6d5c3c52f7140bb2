from __future__ import annotations

from typing import Any

import pytest
from tests.server.scripted import ScriptedGateway

from wenlu.server.messages import Answer, Answers

ROWS: dict[str, tuple[dict[str, Any], dict[str, Any]]] = {
    "classify": (
        {"id": "1", "prediction": "good", "probability": 0.9, "probabilities": {"good": 0.9}, "signature": "x"},
        {"index": 0, "label": "good", "probability": 0.9, "probabilities": {"good": 0.9}},
    ),
    "extract": (
        {"prediction": [], "entities": [{"start": 0, "end": 1, "text": "a", "label": "P", "probability": 0.5}]},
        {
            "index": 0,
            "text": "a b",
            "entities": [{"start": 0, "end": 1, "text": "a", "label": "P", "probability": 0.5}],
        },
    ),
    "answer": (
        {"prediction": "a", "start": 0, "end": 1, "probability": 0.5, "no_answer": 0.1, "alternatives": []},
        {"index": 0, "answer": "a", "start": 0, "end": 1, "probability": 0.5, "alternatives": [], "no_answer": 0.1},
    ),
    "translate": (
        {"prediction": "一", "probability": 0.5, "logprob": -1.0, "tokens": 2},
        {"index": 0, "text": "一", "probability": 0.5},
    ),
    "grade": (
        {
            "prediction": {"ideas": 3},
            "probability": 0.4,
            "probabilities": {"ideas": {"3": 0.4}},
            "expected": {"ideas": 2.9},
        },
        {
            "index": 0,
            "grade": {"ideas": 3},
            "probability": 0.4,
            "probabilities": {"ideas": {"3": 0.4}},
            "expected": {"ideas": 2.9},
        },
    ),
}


@pytest.mark.parametrize("ability", ROWS)
def test_each_task_answers_in_its_own_words(ability: str) -> None:
    row, told = ROWS[ability]
    gateway = ScriptedGateway(replies=[Answers(id=1, rows=(row,), tokens=4)])
    answer = gateway.post(f"/v1/{ability}", {"model": "reviews", "input": "a b", "abstain_below": 0.25})
    assert answer.json() == {
        "object": "list",
        "model": "reviews",
        "data": [told],
        "usage": {"prompt_tokens": 4, "total_tokens": 4},
    }
    (request,) = gateway.asked
    assert isinstance(request, Answer)
    assert (request.ability, request.examples, request.abstain_below) == (ability, ({"text": "a b"},), 0.25)


def test_an_answer_that_is_not_sure_enough_is_null_and_tells_what_it_would_have_been() -> None:
    row = {"prediction": None, "abstained": "good", "probability": 0.6, "probabilities": {"good": 0.6}}
    gateway = ScriptedGateway(replies=[Answers(id=1, rows=(row,), tokens=4)])
    (told,) = gateway.post("/v1/classify", {"model": "reviews", "input": "a"}).json()["data"]
    assert (told["label"], told["abstained"]) == (None, "good")


def test_several_labels_are_a_list() -> None:
    row = {"prediction": ["bad", "good"], "probabilities": {"bad": 0.8, "good": 0.6}}
    gateway = ScriptedGateway(replies=[Answers(id=1, rows=(row,), tokens=4)])
    (told,) = gateway.post("/v1/classify", {"model": "reviews", "input": "a"}).json()["data"]
    assert told["labels"] == ["bad", "good"]


def test_an_example_that_cannot_be_answered_does_not_stop_the_others() -> None:
    rows = ({"id": "0", "error": "too long"}, {"prediction": "good", "probability": 0.9})
    gateway = ScriptedGateway(replies=[Answers(id=1, rows=rows, tokens=4)])
    body = {"model": "reviews", "input": ["a", {"text": "b", "pair": "c"}]}
    assert gateway.post("/v1/classify", body).json()["data"] == [
        {"index": 0, "error": "too long"},
        {"index": 1, "label": "good", "probability": 0.9},
    ]
    (request,) = gateway.asked
    assert isinstance(request, Answer)
    assert request.examples == ({"text": "a"}, {"text": "b", "pair": "c"})


def test_a_question_may_stand_beside_its_context() -> None:
    reader = ScriptedGateway().models[1].__class__("reader", ("answer",), created=1, columns=("context", "question"))
    row = {"prediction": "a", "start": 0, "end": 1, "probability": 0.5, "alternatives": []}
    for body in ({"question": "q", "context": "c"}, {"input": {"question": "q", "context": "c"}}):
        gateway = ScriptedGateway(replies=[Answers(id=1, rows=(row,), tokens=4)], models=(reader,))
        assert gateway.post("/v1/answer", {"model": "reader", **body}).status_code == 200
        (request,) = gateway.asked
        assert isinstance(request, Answer)
        assert request.examples == ({"question": "q", "context": "c"},)


@pytest.mark.parametrize(
    ("path", "fields", "param", "message"),
    [
        ("/v1/classify", {"input": {"txt": "a"}}, "input.txt", "did you mean text?"),
        ("/v1/classify", {"input": ["a", {"par": "a"}]}, "input.1.par", "did you mean pair?"),
        ("/v1/classify", {"input": []}, "input", ""),
        ("/v1/classify", {"input": {}}, "input", "text, pair"),
        ("/v1/classify", {"input": 3}, "input", ""),
        ("/v1/classify", {"input": "a", "abstain_below": 2}, "abstain_below", "less than or equal to 1"),
        ("/v1/classify", {"input": "a", "question": "q"}, "question", "unknown parameter"),
        ("/v1/answer", {}, "input", "question and context"),
        ("/v1/answer", {"input": "a", "question": "q"}, "input", "question and context"),
        ("/v1/grade", {"input": ["a"] * 2049}, "input", "at most 2048"),
    ],
)
def test_what_cannot_be_done_is_refused_by_name(path: str, fields: dict[str, Any], param: str, message: str) -> None:
    answer = ScriptedGateway().post(path, {"model": "reviews", **fields})
    assert (answer.status_code, answer.json()["error"]["param"]) == (400, param), answer.text
    assert message in answer.json()["error"]["message"]


def test_a_model_of_another_task_says_what_it_can_do() -> None:
    answer = ScriptedGateway().post("/v1/classify", {"model": "tiny", "input": "a"})
    assert answer.status_code == 400
    assert "chat" in answer.json()["error"]["message"]
