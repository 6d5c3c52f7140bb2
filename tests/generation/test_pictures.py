"""Pictures in the engine: an answer is that of its own, however the prompt is cut and whoever runs beside it."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest
import torch
from torch import Tensor

from wenlu.errors import UsageError
from wenlu.generation.beam import beam_search
from wenlu.generation.engine import Emission, Engine, Request
from wenlu.models import family
from wenlu.models.layers.seeing import SeeingDecoder

VOCAB, IMAGE = 48, 40
SIZES: dict[str, Any] = {
    "hidden_size": 32,
    "intermediate_size": 64,
    "num_hidden_layers": 2,
    "num_attention_heads": 2,
    "vocab_size": VOCAB,
    "image_token_id": IMAGE,
    "vision_config": {"image_size": 32, "patch_size": 8, "hidden_size": 16, "intermediate_size": 32,
                      "num_hidden_layers": 1, "num_attention_heads": 2},
}  # fmt: skip
EACH = 4
"""Placeholders of a picture: 32 / 8 / 2, squared."""


@pytest.fixture(scope="module")
def model() -> SeeingDecoder:
    torch.manual_seed(0)
    chosen = family("smolvlm")
    built = chosen.build(chosen.config(**SIZES), dtype=torch.float64)
    assert isinstance(built, SeeingDecoder)
    with torch.no_grad():
        for weight in built.parameters():
            weight.add_(0.2 * torch.randn(weight.shape, dtype=weight.dtype))  # so that pictures matter
    return built.eval()


def pictures(seed: int, count: int = 1) -> Tensor:
    return torch.randn(count, 3, 32, 32, generator=torch.Generator().manual_seed(seed))


def prompt(*parts: int, count: int = 1) -> list[int]:
    """Words, with the placeholders of `count` pictures behind the first of them."""
    return [parts[0], *[IMAGE] * (EACH * count), *parts[1:]]


def asked(words: tuple[int, ...], seed: int, *, count: int = 1) -> Request:
    return Request(prompt(*words, count=count), 8, pixel_values=pictures(seed, count))


def run(engine: Engine, requests: list[Request]) -> list[list[Emission]]:
    ids = [engine.submit(request) for request in requests]
    found: dict[int, list[Emission]] = {id: [] for id in ids}
    while engine.busy:
        for emission in engine.step():
            found[emission.id].append(emission)
    return [found[id] for id in ids]


def tokens(emissions: list[Emission]) -> list[int]:
    return [emission.token for emission in emissions]


@torch.no_grad()
def greedy(model: SeeingDecoder, request: Request) -> list[int]:
    """Without any memory: the whole text, with its pictures, is read for each token."""
    ids, values = list(request.prompt), request.pixel_values
    assert values is not None
    for _ in range(request.max_new_tokens):
        logits = model(torch.tensor([ids]), pixel_values=values.double())[0, -1]
        ids.append(int(logits.argmax()))
    return ids[len(request.prompt) :]


REQUESTS = [
    asked((1, 2, 3), 0),
    asked((1, 2, 3), 1),
    asked((1, 2, 3), 0),
    asked((7, 8, 9, 10, 11), 2, count=2),
    Request([1, 2, 3, 4], 8),
]


@pytest.mark.parametrize("invariant", [True, False])
@pytest.mark.parametrize("settings", [{}, {"max_prefill_tokens": 2, "page_size": 2, "unit": 2}, {"max_batch": 1}])
def test_answers_are_those_of_the_model_without_a_memory(
    model: SeeingDecoder, settings: dict[str, Any], invariant: bool
) -> None:
    found = run(Engine(model, invariant=invariant, **settings), REQUESTS)
    for emissions, request in zip(found, REQUESTS, strict=True):
        if request.pixel_values is not None:
            assert tokens(emissions) == greedy(model, request)
    assert tokens(found[0]) == tokens(found[2]) != tokens(found[1])


def test_a_prefix_with_another_picture_is_not_found_again(model: SeeingDecoder) -> None:
    engine = Engine(model, page_size=2, unit=2)
    first, other = asked((1, 2, 3, 4, 5), 0), asked((1, 2, 3, 4, 5), 1)
    run(engine, [first])
    (again,) = run(engine, [first])
    assert again[0].cached > 0
    (fresh,) = run(engine, [other])
    assert fresh[0].cached == 0
    assert tokens(fresh) == greedy(model, other)
    assert tokens(again) == greedy(model, first)


def test_requests_with_equal_pictures_answer_alike(model: SeeingDecoder) -> None:
    engine = Engine(model)
    same = [asked((1, 2, 3), 5) for _ in range(3)]
    found = run(engine, same)
    assert len({tuple(tokens(emissions)) for emissions in found}) == 1


def test_beams_see_the_pictures(model: SeeingDecoder) -> None:
    request = REQUESTS[0]
    (best,) = beam_search(model, request.prompt, num_beams=1, max_new_tokens=8, pixel_values=request.pixel_values)
    assert list(best.tokens) == greedy(model, request)


@pytest.mark.parametrize(
    ("request_", "said"),
    [
        (
            Request(prompt(1, 2, count=2), 4, pixel_values=pictures(0)),
            "8 placeholders .*, but 1 pictures of 4 each fill 4",
        ),
        (Request(prompt(1, 2), 4), "4 placeholders .*, but 0 pictures"),
        (Request([1, 2], 4, pixel_values=pictures(0)), "0 placeholders .*, but 1 pictures"),
        (replace(REQUESTS[0], prompt_logprobs=True), "prompt_logprobs: is for prompts without pictures"),
    ],
)
def test_a_count_that_does_not_match_is_refused_and_the_engine_goes_on(
    model: SeeingDecoder, request_: Request, said: str
) -> None:
    engine = Engine(model)
    with pytest.raises(UsageError, match=said):
        engine.submit(request_)
    assert not engine.busy
    assert tokens(run(engine, [REQUESTS[0]])[0]) == greedy(model, REQUESTS[0])


def test_a_model_that_does_not_see_says_so() -> None:
    chosen = family("llama")
    sizes = {key: value for key, value in SIZES.items() if key in chosen.config.model_fields}
    engine = Engine(chosen.build(chosen.config(**sizes)))
    with pytest.raises(UsageError, match="Llama reads no pictures"):
        engine.submit(REQUESTS[0])
