from __future__ import annotations

from typing import Any

import pytest
from tests.server.scripted import ScriptedGateway, plain, token, written

from wenlu.server.http.errors import ApiError
from wenlu.server.messages import Delta, Done, Event, Generate, Started, TextPrompt, TokenPrompt

PROMPT = (token(3, "你", None), token(4, "好", -1.0, 吗=-0.5))
FILLS = "fill-in-the-middle"


def asked(**more: Any) -> dict[str, Any]:
    return {"model": "tiny", "prompt": "hi", **more}


def echoed(request: Generate) -> list[Event]:
    """An answer of one token to a prompt of two that is told."""
    written = Delta(id=1, choice=0, text="!", count=1, tokens=(token(5, "!", -0.25, 嗯=-0.125),), finish="length")
    return [Started(id=1, prompt_tokens=2, prompt=PROMPT, text="你好"), written, Done(id=1)]


@pytest.mark.parametrize(
    ("prompt", "told"),
    [
        ("hi", [TextPrompt("hi")]),
        ("", [TextPrompt("")]),
        (["a", "b"], [TextPrompt("a"), TextPrompt("b")]),
        ([1, 2], [TokenPrompt((1, 2))]),
        ([[1], [2, 3]], [TokenPrompt((1,)), TokenPrompt((2, 3))]),
    ],
)
def test_prompts_are_texts_or_ids_one_or_several(prompt: Any, told: list[object]) -> None:
    gateway = ScriptedGateway(written("a"))
    assert gateway.post("/v1/completions", asked(prompt=prompt)).status_code == 200
    assert [request.prompt for request in gateway.generated] == told
    assert all(request.max_tokens == 16 for request in gateway.generated)


def test_choices_of_the_first_prompt_come_before_those_of_the_next() -> None:
    def events(request: Generate) -> list[Event]:
        assert isinstance(request.prompt, TextPrompt)
        text = request.prompt.text
        deltas = [Delta(id=1, choice=n, text=f"{text}{n}", count=1, finish="stop") for n in range(request.n)]
        return [Started(id=1, prompt_tokens=3), *reversed(deltas), Done(id=1)]

    answer = ScriptedGateway(events).post("/v1/completions", asked(prompt=["a", "b", "c"], n=2)).json()
    texts = ["a0", "a1", "b0", "b1", "c0", "c1"]
    assert [(one["index"], one["text"]) for one in answer["choices"]] == list(enumerate(texts))
    assert answer["usage"]["prompt_tokens"] == 9
    assert answer["usage"]["completion_tokens"] == 6


def test_echo_with_logprobs_is_what_lm_eval_reads() -> None:
    gateway = ScriptedGateway(echoed)
    answer = gateway.post(
        "/v1/completions",
        asked(prompt=[[3, 4]], echo=True, logprobs=1, max_tokens=1, temperature=0, seed=1234),
    ).json()
    (choice,) = answer["choices"]
    assert choice["text"] == "你好!"
    assert choice["logprobs"] == {
        "tokens": ["你", "好", "!"],
        "token_logprobs": [None, -1.0, -0.25],
        "top_logprobs": [None, {"吗": -0.5, "好": -1.0}, {"嗯": -0.125, "!": -0.25}],
        "text_offset": [0, 1, 2],
    }
    request = gateway.generated[0]
    assert (request.echo, request.logprobs, request.max_tokens, request.seed) == (True, 1, 1, 1234)


def test_offsets_count_characters_also_where_a_token_is_part_of_one() -> None:
    events = [
        Started(id=1, prompt_tokens=1),
        Delta(id=1, choice=0, text="好a", count=3, tokens=(token(1, b"\xe5"), token(2, b"\xa5\xbd"), token(3, "a"))),
        Delta(id=1, choice=0, text="", count=0, finish="stop"),
        Done(id=1),
    ]
    told = ScriptedGateway(events).post("/v1/completions", asked(logprobs=0)).json()["choices"][0]["logprobs"]
    assert told["tokens"] == ["bytes:\\xe5", "bytes:\\xa5\\xbd", "a"]
    assert told["text_offset"] == [0, 0, 1]
    assert told["top_logprobs"] is None


def test_nothing_but_the_prompt_is_told_where_nothing_is_to_be_written() -> None:
    events = [Started(id=1, prompt_tokens=2, prompt=PROMPT, text="你好"), Done(id=1)]
    answer = ScriptedGateway(events).post("/v1/completions", asked(echo=True, logprobs=1, max_tokens=0)).json()
    assert answer["choices"][0]["text"] == "你好"
    assert answer["choices"][0]["finish_reason"] == "length"
    assert answer["usage"]["completion_tokens"] == 0


def test_a_stream_tells_an_echo_first_and_is_written_so_to_the_last_byte() -> None:
    head = '{"id":"cmpl-ID","object":"text_completion","created":1,"model":"tiny","system_fingerprint":"fp",'
    answer = ScriptedGateway(echoed).post("/v1/completions", asked(echo=True, stream=True))
    assert plain(answer.content) == (
        f'data: {head}"choices":[{{"index":0,"text":"你好","logprobs":null,"finish_reason":null}}]}}\n\n'
        f'data: {head}"choices":[{{"index":0,"text":"!","logprobs":null,"finish_reason":"length"}}]}}\n\n'
        "data: [DONE]\n\n"
    )


def test_a_suffix_needs_a_model_that_fills_in_the_middle() -> None:
    gateway = ScriptedGateway(written("a"))
    refused = gateway.post("/v1/completions", asked(suffix="end"))
    assert refused.status_code == 400
    assert FILLS in refused.json()["error"]["message"]
    filling = gateway.models[0].__class__(name="tiny", abilities=("complete", FILLS), created=1)
    gateway = ScriptedGateway(written("a"), models=(filling,))
    assert gateway.post("/v1/completions", asked(suffix="end")).status_code == 200
    assert gateway.generated[0].prompt == TextPrompt("hi", "end")


def test_where_one_prompt_fails_the_others_are_given_up() -> None:
    def events(request: Generate) -> list[Event | ApiError]:
        if request.prompt == TextPrompt("b"):
            return [ApiError(400, "too long", param="prompt.text", code="context_length_exceeded")]
        return [Started(id=1, prompt_tokens=1), *(Delta(id=1, choice=0, text="x", count=1) for _ in range(10_000))]

    gateway = ScriptedGateway(events)
    answer = gateway.post("/v1/completions", asked(prompt=["a", "b", "c"]))
    assert (answer.status_code, answer.json()["error"]["param"]) == (400, "prompt")
    assert gateway.open_streams == 0


@pytest.mark.parametrize(
    ("fields", "param", "message"),
    [
        ({"prompt": []}, "prompt", ""),
        ({"prompt": None}, "prompt", "required"),
        ({"prompt": [1, "a"]}, "prompt.1", ""),
        ({"prompt": [[]]}, "prompt.0", "at least 1"),
        ({"prompt": [-1]}, "prompt.0", "greater than or equal to 0"),
        ({"max_tokens": 0}, "max_tokens", '"echo": true'),
        ({"best_of": 1, "n": 2}, "best_of", "fewer than n"),
        ({"best_of": 3, "stream": True}, "best_of", "only at the end"),
        ({"best_of": 17}, "best_of", "at most 16"),
        ({"logprobs": 21}, "logprobs", "less than or equal to 20"),
        ({"logprobs": True}, "logprobs", "integer"),
        ({"suffix": "a", "prompt": [1]}, "suffix", "text"),
        ({"messages": []}, "messages", "/v1/chat/completions"),
        ({"max_completion_tokens": 3}, "max_completion_tokens", "max_tokens"),
        ({"best": 3}, "best", "did you mean best_of?"),
    ],
)
def test_what_cannot_be_done_is_refused_by_name(fields: dict[str, Any], param: str, message: str) -> None:
    answer = ScriptedGateway(written("a")).post("/v1/completions", asked(**fields))
    assert answer.status_code == 400, answer.text
    assert answer.json()["error"]["param"] == param
    assert message in answer.json()["error"]["message"]
