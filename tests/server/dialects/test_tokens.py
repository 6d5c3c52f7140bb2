from __future__ import annotations

from typing import Any

import pytest
from tests.server.scripted import ScriptedGateway

from wenlu.server.messages import ChatPrompt, Description, Detokenize, TextPrompt, Tokenize, Tokens

DESCRIPTION = Description(
    id=1, specials={"</s>": 2}, bos="<s>", eos="</s>", pad=None, vocab_size=50, context=64, chat_template="{{ x }}"
)
TOKENS = Tokens(id=1, ids=(5, 6), text="hi!", strings=("hi", "!"))


@pytest.mark.parametrize(
    ("body", "framed"), [({}, True), ({"add_special_tokens": False}, False), ({"add_special_tokens": True}, True)]
)
def test_a_text_becomes_ids_in_the_shape_of_vllm(body: dict[str, Any], framed: bool) -> None:
    gateway = ScriptedGateway(replies=[TOKENS])
    told = gateway.post("/tokenize", {"model": "tiny", "prompt": "hi!", **body}).json()
    assert told == {"count": 2, "max_model_len": 128, "tokens": [5, 6]}
    (request,) = gateway.asked
    assert isinstance(request, Tokenize)
    assert (request.prompt, request.framed) == (TextPrompt("hi!"), framed)


def test_messages_become_ids_with_the_opening_of_the_answer_unless_told_not_to() -> None:
    messages = [{"role": "user", "content": "hi"}]
    for body, framed in (({}, True), ({"add_generation_prompt": False}, False)):
        gateway = ScriptedGateway(replies=[TOKENS])
        told = gateway.post("/tokenize", {"messages": messages, "return_token_strs": True, **body}).json()
        assert told["token_strs"] == ["hi", "!"]
        (request,) = gateway.asked
        assert isinstance(request, Tokenize)
        assert (request.prompt, request.framed) == (ChatPrompt(tuple(messages)), framed)


def test_ids_become_text_and_the_first_model_is_meant_where_none_is_named() -> None:
    gateway = ScriptedGateway(replies=[TOKENS])
    assert gateway.post("/detokenize", {"tokens": [5, 6]}).json() == {"prompt": "hi!"}
    (request,) = gateway.asked
    assert isinstance(request, Detokenize)
    assert (request.model, request.ids) == ("tiny", (5, 6))


def test_the_tokenizer_is_described() -> None:
    told = ScriptedGateway(replies=[DESCRIPTION]).send("GET", "/tokenizer_info").json()
    assert (told["bos_token"], told["eos_token"], told["pad_token"]) == ("<s>", "</s>", None)
    assert (told["vocab_size"], told["model_max_length"], told["chat_template"]) == (50, 64, "{{ x }}")


def test_a_special_token_alone_is_its_id_as_lm_eval_asks_for_it() -> None:
    gateway = ScriptedGateway(replies=[DESCRIPTION])
    told = gateway.post("/tokenize", {"prompt": "</s>", "add_special_tokens": False}).json()
    assert told["tokens"] == [2]


@pytest.mark.parametrize(
    ("path", "body", "param"),
    [
        ("/tokenize", {}, "prompt"),
        ("/tokenize", {"prompt": "a", "messages": [{"role": "user", "content": "x"}]}, "prompt"),
        ("/tokenize", {"prompt": "a", "tools": []}, "tools"),
        ("/tokenize", {"prompt": "a", "add_special_token": True}, "add_special_token"),
        ("/detokenize", {"tokens": "a"}, "tokens"),
        ("/detokenize", {"tokens": [-1]}, "tokens.0"),
    ],
)
def test_what_cannot_be_done_is_refused_by_name(path: str, body: dict[str, Any], param: str) -> None:
    answer = ScriptedGateway().post(path, body)
    assert (answer.status_code, answer.json()["error"]["param"]) == (400, param), answer.text


def test_an_unknown_model_is_a_404() -> None:
    assert ScriptedGateway().send("GET", "/tokenizer_info?model=x").status_code == 404
