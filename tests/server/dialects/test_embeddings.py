from __future__ import annotations

import base64
import struct
from typing import Any

import pytest
from tests.server.scripted import ScriptedGateway

from wenlu.server.http.errors import ApiError
from wenlu.server.messages import Description, Detokenize, Embed, TextPrompt, Tokenize, Tokens, Vectors

NUMBERS = (0.5, -1.25, 3.0, 0.1)
VECTORS = Vectors(id=1, data=struct.pack("<4f", *NUMBERS), dimensions=2, tokens=9)
DESCRIPTION = Description(
    id=1, specials={"</s>": 2}, bos=None, eos="</s>", pad=None, vocab_size=50, context=64, chat_template=None
)


def asked(**more: Any) -> dict[str, Any]:
    return {"model": "tiny", "input": ["a", "b"], **more}


def test_vectors_are_told_as_numbers_or_as_base64_of_the_same_bytes() -> None:
    gateway = ScriptedGateway(replies=[VECTORS, VECTORS])
    told = gateway.post("/v1/embeddings", asked()).json()
    assert [one["index"] for one in told["data"]] == [0, 1]
    assert told["data"][0]["embedding"] == [0.5, -1.25]
    assert told["data"][1]["embedding"] == [3.0, struct.unpack("<f", struct.pack("<f", 0.1))[0]]
    assert told["usage"] == {"prompt_tokens": 9, "total_tokens": 9}
    packed = gateway.post("/v1/embeddings", asked(encoding_format="base64")).json()
    data = b"".join(base64.b64decode(one["embedding"]) for one in packed["data"])
    assert data == VECTORS.data


@pytest.mark.parametrize(
    ("given", "inputs"),
    [("a", ("a",)), (["a", "b"], ("a", "b")), ([1, 2], ((1, 2),)), ([[1], [2, 3]], ((1,), (2, 3)))],
)
def test_inputs_are_texts_or_ids_one_or_several(given: Any, inputs: tuple[object, ...]) -> None:
    gateway = ScriptedGateway(replies=[VECTORS])
    answer = gateway.post("/v1/embeddings", asked(input=given, dimensions=2, own_token_ids=True))
    assert answer.status_code == 200, answer.text
    (request,) = gateway.asked
    assert isinstance(request, Embed)
    assert (request.inputs, request.dimensions) == (inputs, 2)


def test_ids_that_are_written_again_as_they_were_are_taken() -> None:
    gateway = ScriptedGateway(replies=[DESCRIPTION, Tokens(id=1, text="hey"), Tokens(id=1, ids=(7, 8)), VECTORS])
    answer = gateway.post("/v1/embeddings", asked(input=[7, 8, 2]))
    assert answer.status_code == 200, answer.text
    _, there, back, embed = gateway.asked
    assert isinstance(there, Detokenize)
    assert isinstance(back, Tokenize)
    assert isinstance(embed, Embed)
    assert there.ids == (7, 8)
    assert (back.prompt, back.framed) == (TextPrompt("hey"), False)
    assert embed.inputs == ((7, 8, 2),)


@pytest.mark.parametrize(
    ("ids", "replies"),
    [([7, 50], []), ([7, 8], [Tokens(id=1, text="hey"), Tokens(id=1, ids=(9,))])],
)
def test_ids_of_another_vocabulary_are_refused_with_what_to_do(ids: list[int], replies: list[Tokens]) -> None:
    gateway = ScriptedGateway(replies=[DESCRIPTION, *replies])
    answer = gateway.post("/v1/embeddings", asked(input=[ids]))
    assert answer.status_code == 400
    assert answer.json()["error"]["param"] == "input"
    assert "check_embedding_ctx_length=False" in answer.json()["error"]["message"]


@pytest.mark.parametrize(
    ("fields", "param"),
    [
        ({"input": ""}, "input"),
        ({"input": []}, "input"),
        ({"input": ["a", 1]}, "input.1"),
        ({"input": ["a"] * 2049}, "input"),
        ({"dimensions": 0}, "dimensions"),
        ({"encoding_format": "int8"}, "encoding_format"),
        ({"dimension": 3}, "dimension"),
    ],
)
def test_what_cannot_be_done_is_refused_by_name(fields: dict[str, Any], param: str) -> None:
    answer = ScriptedGateway().post("/v1/embeddings", asked(**fields))
    assert (answer.status_code, answer.json()["error"]["param"]) == (400, param), answer.text


def test_a_failure_names_the_clients_own_field() -> None:
    fault = ApiError(400, "9 tokens, and the context has 8", param="inputs.1", code="context_length_exceeded")
    answer = ScriptedGateway(replies=[fault]).post("/v1/embeddings", asked())
    assert answer.json()["error"]["param"] == "input.1"
