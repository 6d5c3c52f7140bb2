"""What is told of an answer beside its text: log-probabilities, the likeliest tokens, the best of several."""

from __future__ import annotations

from dataclasses import replace

import pytest
import torch

from wenlu.bundle import Bundle
from wenlu.errors import UsageError
from wenlu.generation import echo
from wenlu.generation.engine import Emission, Engine, Request
from wenlu.generation.settings import Sampling, SamplingConfig
from wenlu.generation.text import complete, encode_prompt, stream, stream_text
from wenlu.models import LanguageModel, family

DRAWN = Sampling(temperature=1.3, top_k=9, repetition_penalty=1.4, logit_bias=((3, 2.0),))


def emissions(engine: Engine, *requests: Request) -> list[list[Emission]]:
    ids = [engine.submit(request) for request in requests]
    found: dict[int, list[Emission]] = {id: [] for id in ids}
    while engine.busy:
        for emission in engine.step():
            found[emission.id].append(emission)
    return [found[id] for id in ids]


@torch.no_grad()
def logprobs_of(model: LanguageModel, ids: list[int]) -> torch.Tensor:
    """(T - 1, V) of the tokens behind the first."""
    return model(torch.tensor([ids])).log_softmax(dim=-1)[0, :-1]


def test_the_likeliest_tokens_are_the_models_own_whatever_the_rules_and_neighbours(model: LanguageModel) -> None:
    requests = [
        Request([1, 2], 5, DRAWN, seed=5, top_logprobs=4),
        Request([7, 7, 9], 5),
        Request([4], 5, DRAWN, top_logprobs=20, vocab_size=30),
    ]
    wide, none, narrow = emissions(Engine(model), *requests)
    expected = logprobs_of(model, [1, 2, *(emission.token for emission in wide)])[1:].topk(4)
    assert [[token for token, _ in emission.top] for emission in wide] == expected.indices.tolist()
    told = torch.tensor([[logprob for _, logprob in emission.top] for emission in wide])
    torch.testing.assert_close(told, expected.values, atol=1e-4, rtol=0)
    assert all(emission.top == () for emission in none)
    assert all(len(emission.top) == 20 and max(dict(emission.top)) < 30 for emission in narrow)
    assert max(torch.tensor([list(dict(emission.top).values()) for emission in narrow]).exp().sum(1)) < 1


def test_the_tokens_of_a_prompt_come_with_the_first_emission(
    model: LanguageModel, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(echo, "ROWS", 2)
    prompt = [3, 1, 4, 1, 5, 9]
    first, *rest = emissions(Engine(model), Request(prompt, 3, DRAWN, prompt_logprobs=True, top_logprobs=2))[0]
    expected = logprobs_of(model, prompt)
    assert [scored.token for scored in first.prompt] == prompt[1:]
    own = expected.gather(1, torch.tensor(prompt[1:])[:, None])[:, 0]
    assert [scored.logprob for scored in first.prompt] == pytest.approx(own.tolist(), abs=1e-4)
    assert [[token for token, _ in scored.top] for scored in first.prompt] == expected.topk(2).indices.tolist()
    assert all(emission.prompt == () for emission in rest)


def test_a_prompt_of_one_token_has_nothing_to_tell(model: LanguageModel) -> None:
    assert emissions(Engine(model), Request([3], 1, prompt_logprobs=True))[0][0].prompt == ()


def test_a_choice_tells_what_its_emissions_told(bundle: Bundle) -> None:
    sampling = SamplingConfig(max_new_tokens=6, temperature=1.0, top_logprobs=3, prompt_logprobs=True, ignore_end=True)
    choice = complete(bundle, ["The cat"], sampling)[0].choices[0]
    assert choice.logprob == pytest.approx(sum(choice.logprobs))
    assert len(choice.logprobs) == len(choice.top) == choice.tokens == 6
    assert choice.mean_logprob == pytest.approx(choice.logprob / 6)
    ids = encode_prompt(bundle, "The cat")
    assert [scored.token for scored in choice.prompt] == ids[1:]
    own = logprobs_of(bundle.model, [*ids, *choice.ids])[len(ids) - 1 :].gather(1, torch.tensor(choice.ids)[:, None])
    assert list(choice.logprobs) == pytest.approx(own[:, 0].tolist(), abs=1e-4)


def test_best_of_gives_the_answers_of_highest_mean_logprob(bundle: Bundle) -> None:
    sampling = SamplingConfig(max_new_tokens=9, temperature=2.0, n=6, seed=3)
    drawn = complete(bundle, ["天"], sampling)[0].choices
    best = complete(bundle, ["天"], sampling.model_copy(update={"n": 2, "best_of": 6}))[0].choices
    expected = sorted(drawn, key=lambda choice: -choice.logprob / choice.tokens)[:2]
    assert [choice.text for choice in best] == [choice.text for choice in expected]


def test_the_best_answer_does_not_stream_but_comes_as_a_whole(bundle: Bundle) -> None:
    sampling = SamplingConfig(max_new_tokens=5, temperature=1.0, best_of=4, ignore_end=True)
    assert list(stream_text(bundle, "a", sampling)) == [complete(bundle, ["a"], sampling)[0].text]
    with pytest.raises(UsageError, match="best_of=4: the best answer is known only when all are there; remove it"):
        stream(bundle, "a", sampling)


def test_a_bias_of_100_forces_a_token_and_one_of_minus_100_forbids_it(bundle: Bundle) -> None:
    ids = encode_prompt(bundle, "a")
    forced = SamplingConfig(max_new_tokens=5, temperature=1.0, logit_bias=((ids[-1], 100.0),))
    assert complete(bundle, ["a"], forced)[0].text == "aaaaa"
    greedy = complete(bundle, ["a"], SamplingConfig(max_new_tokens=1))[0].choices[0].ids[0]
    forbidden = SamplingConfig(max_new_tokens=1, logit_bias=((greedy, -100.0),))
    assert complete(bundle, ["a"], forbidden)[0].choices[0].ids[0] != greedy


def test_a_bias_for_a_token_that_does_not_exist_is_refused(bundle: Bundle) -> None:
    with pytest.raises(UsageError, match=r"logit_bias: the tokenizer has \d+ tokens, and none with id 99999; ids of"):
        complete(bundle, ["a"], SamplingConfig(logit_bias=((99999, 1.0),)))


def test_an_encoder_decoder_has_no_logprobs_of_its_source(bundle: Bundle) -> None:
    row = family("transformer")
    size = bundle.tokenizer.vocab_size
    config = row.config(vocab_size=size, hidden_size=16, num_hidden_layers=1, num_attention_heads=2)
    seq2seq = replace(bundle, model=row.build(config).eval(), config=config)
    with pytest.raises(UsageError, match="prompt_logprobs: an encoder–decoder reads its source and gives it no prob"):
        complete(seq2seq, ["a"], SamplingConfig(prompt_logprobs=True))
