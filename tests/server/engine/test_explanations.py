"""Explanations are those that `wenlu explain` gives, and who asks for one keeps nobody waiting."""

from __future__ import annotations

import json
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import msgspec
import pytest
import torch
from tests.evaluation.linear.test_linear import EXAMPLES, classification, trained
from tests.server.asking import Asked
from tests.server.engine.test_tasks import asked_of, tiny
from tests.tasks.labelled import NewTokenizer

import wenlu
from wenlu.evaluation.linear import learners
from wenlu.evaluation.linear.prediction import Stored
from wenlu.explanation.explain import Explainer
from wenlu.server.dialects.explanations import Explanation
from wenlu.server.engine.answering import Answering, go_on
from wenlu.server.engine.explaining import Stopped, explained
from wenlu.server.engine.problem import Problem
from wenlu.server.engine.served import Served, served, served_linear
from wenlu.server.messages import Answer, Cancel, Explain, Explained, Failed

FEW = {"orders": 20, "method": "occlusion"}
LONG = 4_000
"""Random orders of ten words: longer than a test waits."""
TEXT = "one two three four five six seven eight nine ten"


def ask(one: Served, example: dict[str, Any], most_tokens: int | None = None, **settings: Any) -> dict[str, Any]:
    asked = Explain(id=1, model=one.name, example=example, settings=settings, most_tokens=most_tokens)
    reply = explained(asked, one, threading.Event())
    return as_sent(reply.told)


def as_sent(told: dict[str, Any]) -> dict[str, Any]:
    """What JSON leaves of it, without the time that it took; it is as the document of the API says."""
    plain: dict[str, Any] = json.loads(json.dumps(told))
    usage = {"prompt_tokens": 0, "total_tokens": 0}
    msgspec.convert({"object": "explanation", "model": "m", **plain, "usage": usage}, Explanation)
    plain.pop("seconds")
    return plain


@pytest.mark.parametrize("name", ["text-classification", "token-classification", "question-answering", "grading"])
def test_an_explanation_is_that_of_the_python_call_to_the_last_digit(name: str, new_tokenizer: NewTokenizer) -> None:
    bundle = tiny(name, new_tokenizer)
    (one,) = served("m", bundle)
    example = asked_of(bundle)[0]
    first = one.info.columns[0]
    columns = {bundle.task.config.column(key): text for key, text in example.items()}  # type: ignore[union-attr]
    columns["text"] = columns.pop(bundle.task.config.column(first))  # type: ignore[union-attr]
    expected = wenlu.explain(Explainer(bundle), columns, [f"{key}={value}" for key, value in FEW.items()])
    assert ask(one, example, **FEW) == as_sent(expected.as_json())


def test_a_linear_model_is_taken_apart_as_by_the_python_call(tmp_path: Path) -> None:
    stored = Stored(trained(learners.CLASSIFIERS[0], classification(), EXAMPLES), "0")
    one = served_linear("spam", stored, tmp_path)
    expected = wenlu.explain(Explainer(stored), "win free cash now")
    assert ask(one, {"text": "win free cash now"}) == as_sent(expected.as_json())
    with pytest.raises(Problem) as wrong:
        ask(one, {"text": "win"}, method="integrated-gradients")
    assert (wrong.value.fault, wrong.value.param) == ("request", "settings.method")
    assert "a linear model, whose own terms are exact" in wrong.value.message
    with pytest.raises(Problem, match="words are left out, not replaced"):
        ask(one, {"text": "win"}, baseline="mask")
    with pytest.raises(Problem, match="4 words, and texts of at most 3"):
        ask(one, {"text": "win free cash now"}, most_tokens=3)


@pytest.mark.parametrize(
    ("example", "settings", "param", "message"),
    [
        ({"text": "the cat"}, {"target": "dogs"}, "settings.target", "the model knows no such; did you mean dog?"),
        ({"text": "the cat"}, {"against": "x"}, "settings.against", "the model knows no such"),
        ({"text": "the cat"}, {"method": "weights"}, "settings.method", "this is no linear model"),
        ({"text": "the cat"}, {"sample": "3"}, None, "sample: no setting of an explanation; did you mean samples"),
        ({"text": "the cat sat " * 9}, {}, "example", "and texts of at most 16 are explained"),
        ({"text": ""}, {}, None, "nothing"),
        ({"txt": "the cat"}, {}, "example", "did you mean text?"),
        ({}, {}, "example", "text: is missing"),
    ],
)
def test_what_cannot_be_explained_is_said_with_its_field(
    example: dict[str, Any], settings: dict[str, Any], param: str | None, message: str, new_tokenizer: NewTokenizer
) -> None:
    (one,) = served("m", tiny("text-classification", new_tokenizer))
    with pytest.raises(Problem) as wrong:
        ask(one, example, 16, **settings)
    assert (wrong.value.fault, wrong.value.param) == ("request", param), wrong.value.message
    assert message in wrong.value.message


def test_work_that_nobody_waits_for_ends_before_the_next_forward_pass(new_tokenizer: NewTokenizer) -> None:
    bundle = tiny("text-classification", new_tokenizer)
    (one,) = served("m", bundle)
    is_stopped = threading.Event()
    passes = 0

    def count(module: object, *_: object) -> None:
        nonlocal passes
        passes += isinstance(module, torch.nn.Embedding) and module.num_embeddings == bundle.tokenizer.vocab_size
        if passes == 3:
            is_stopped.set()

    with torch.nn.modules.module.register_module_forward_hook(count):
        with pytest.raises(Stopped):
            explained(Explain(id=1, model="m", example={"text": "the cat sat"}, settings=FEW), one, is_stopped)
        assert passes == 3


def test_a_model_that_is_being_explained_answers_others_as_it_does_alone(new_tokenizer: NewTokenizer) -> None:
    """Its embedding gives other vectors meanwhile, to the explanation alone."""
    (one,) = served("m", tiny("text-classification", new_tokenizer))

    def answer() -> dict[str, Any]:
        answering = Answering(Answer(id=1, model="m", ability="classify", examples=({"text": "the cat sat"},)), one)
        go_on([answering], 1)
        return answering.lines[0]

    alone = answer()
    settings = {"method": "occlusion", "orders": 400}
    why = Explain(id=2, model="m", example={"text": "the cat sat on the mat, the dog didn't move"}, settings=settings)
    with ThreadPoolExecutor(1) as thread:
        working = thread.submit(explained, why, one, threading.Event())
        found = [answer()]
        while not working.done():
            found.append(answer())
        assert working.result().tokens > 0
    assert len(found) > 3
    assert found == [alone] * len(found)


def test_others_are_answered_while_one_is_explained_and_as_they_are_alone(asked: Asked, tiny: Path) -> None:
    alone = asked.text("Once upon a time", max_tokens=24, seed=5)
    settings = {"method": "occlusion", "orders": 400}
    why = asked.send(Explain(id=asked.id(), model="tiny", example={"text": TEXT}, settings=settings))
    assert asked.text("Once upon a time", max_tokens=24, seed=5) == alone
    assert asked.of(why) == [], "the text came first"
    asked.until(why)
    (reply,) = asked.of(why)
    assert isinstance(reply, Explained), reply
    assert reply.tokens == len(TEXT.encode())
    expected = wenlu.explain(tiny, TEXT, [f"{key}={value}" for key, value in settings.items()])
    assert as_sent(reply.told) == as_sent(expected.as_json())


def test_one_that_is_given_up_makes_room_for_the_next(asked: Asked) -> None:
    long = {"method": "occlusion", "orders": LONG}
    first, second = asked.id(), asked.id()
    for id in (first, second):  # the second one waits behind the first
        asked.send(Explain(id=id, model="tiny", example={"text": TEXT}, settings=long))
    time.sleep(0.2)
    for id in (second, first):
        asked.send(Cancel(id=id))
    begun = time.monotonic()
    third = asked.reply(Explain(id=asked.id(), model="tiny", example={"text": "It is"}, settings=FEW))
    assert isinstance(third, Explained)
    assert time.monotonic() - begun < 20
    assert asked.of(first) == asked.of(second) == []


def test_a_deadline_ends_an_explanation_with_what_to_try(asked: Asked) -> None:
    settings = {"method": "occlusion", "orders": LONG}
    why = Explain(id=asked.id(), model="tiny", example={"text": TEXT}, settings=settings, deadline_seconds=0.3)
    failed = asked.reply(why)
    assert isinstance(failed, Failed)
    assert failed.fault == "deadline"
    assert failed.message.startswith("no explanation within 0.3 seconds; give a shorter text")


def test_a_model_that_goes_on_with_texts_reads_no_columns(asked: Asked) -> None:
    failed = asked.reply(Explain(id=asked.id(), model="tiny", example={"text": "It", "second": "is"}))
    assert isinstance(failed, Failed)
    assert (failed.fault, failed.param) == ("request", "example")
    assert "goes on with a text" in failed.message


def test_a_model_without_explanations_says_what_it_can(new_tokenizer: NewTokenizer) -> None:
    (one,) = served("m", tiny("embedding", new_tokenizer))
    with pytest.raises(Problem, match="m is not explained; it can be asked to embed"):
        ask(one, {"text": "a"})
