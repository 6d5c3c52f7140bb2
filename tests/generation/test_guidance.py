"""Classifier-free guidance against `transformers`."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

import pytest
import torch
from tests.generation.reference import to_transformers
from transformers.generation import logits_process as oracle

from wenlu.bundle import Bundle
from wenlu.errors import UsageError
from wenlu.generation.engine import Engine, Request
from wenlu.generation.forward import inference
from wenlu.generation.guidance import Contrast, guided
from wenlu.generation.settings import Sampling, SamplingConfig
from wenlu.generation.text import complete
from wenlu.models import LanguageModel, family


def greedy(model: LanguageModel, prompt: list[int], guidance: float, negative: list[int], n: int = 12) -> list[int]:
    engine = Engine(model)
    engine.submit(Request(prompt, n, Sampling(guidance=guidance), contrast=Contrast(model, negative)))
    engine.submit(Request([9, 9], n))  # a neighbour without
    found = []
    while engine.busy:
        found += [emission.token for emission in engine.step() if emission.id == 0]
    return found


@pytest.mark.parametrize("guidance", [0.0, 0.5, 1.5, 3.0])
def test_guided_answers_equal_those_of_transformers(make_llama: Callable[..., LanguageModel], guidance: float) -> None:
    model = make_llama().double()
    theirs = to_transformers(model)
    for prompt, negative in (([1, 5, 7], [4, 3, 3, 8]), ([6], [9]), ([3, 1, 4, 1, 5], [11, 12])):
        ids = torch.tensor([prompt])
        expected = theirs.generate(
            ids,
            attention_mask=torch.ones_like(ids),
            max_new_tokens=12,
            do_sample=False,
            eos_token_id=None,
            guidance_scale=guidance,
            negative_prompt_ids=torch.tensor([negative]),
        )
        assert greedy(model, prompt, guidance, negative) == expected[0, len(prompt) :].tolist()


@torch.no_grad()
def test_guided_logits_equal_those_of_transformers(make_llama: Callable[..., LanguageModel]) -> None:
    model = make_llama().double()
    negative, answer = [4, 3], [7, 8, 9]
    processor = oracle.UnbatchedClassifierFreeGuidanceLogitsProcessor(
        2.5, to_transformers(model), torch.tensor([negative])
    )
    contrast = Contrast(model, negative)
    for length in range(len(answer) + 1):
        ids = torch.tensor([[1, 2, *answer[:length]]])
        logits = model(ids)[:, -1]
        torch.testing.assert_close(
            guided(logits, contrast.logits(answer[:length]), 2.5), processor(ids, logits), rtol=0, atol=1e-5
        )


def test_guidance_of_1_changes_no_probability_and_0_is_the_other_prompt() -> None:
    own, other = torch.randn(2, 9, dtype=torch.float64, generator=torch.Generator().manual_seed(0))
    torch.testing.assert_close(guided(own, other, 1.0), own.log_softmax(dim=-1))
    torch.testing.assert_close(guided(own, other, 0.0), other.log_softmax(dim=-1))


def test_a_contrast_is_a_function_of_the_answer(make_llama: Callable[..., LanguageModel]) -> None:
    model = make_llama()
    kept = Contrast(model, [1, 2])
    with inference(model):
        for answer in ([3], [3, 4, 5], [3, 4], [], [7, 4, 5], [7, 4, 5]):
            torch.testing.assert_close(kept.logits(answer), Contrast(model, [1, 2]).logits(answer))


def test_settings_lead_away_from_a_prompt_or_from_the_last_token(bundle: Bundle) -> None:
    guided = SamplingConfig(max_new_tokens=8, guidance=3.0, ignore_end=True)
    prompt = [*bundle.tokenizer.opening, *bundle.tokenizer.encode("The cat")]
    negative = [*bundle.tokenizer.opening, *bundle.tokenizer.encode("天")]
    told = complete(bundle, ["The cat"], guided.model_copy(update={"negative_prompt": "天"}))[0].choices[0]
    assert list(told.ids) == greedy(bundle.model, prompt, 3.0, negative, 8)
    assert list(complete(bundle, ["The cat"], guided)[0].choices[0].ids) == greedy(
        bundle.model, prompt, 3.0, prompt[-1:], 8
    )


def test_an_answer_ends_where_the_negative_prompt_leaves_no_room(bundle: Bundle) -> None:
    long = "a " * 50
    negative = len([*bundle.tokenizer.opening, *bundle.tokenizer.encode(long)])
    sampling = SamplingConfig(max_new_tokens=500, guidance=2.0, negative_prompt=long, ignore_end=True)
    choice = complete(bundle, ["The"], sampling)[0].choices[0]
    assert (choice.tokens, choice.finish) == (128 - negative, "length")
    with pytest.raises(UsageError, match=r"prompt has .* tokens, .* shorten the prompt"):
        complete(bundle, ["The"], sampling.model_copy(update={"negative_prompt": "a b " * 500}))


def test_an_encoder_decoder_needs_another_source(bundle: Bundle) -> None:
    row = family("transformer")
    size = bundle.tokenizer.vocab_size
    config = row.config(
        vocab_size=size, hidden_size=16, num_hidden_layers=1, num_attention_heads=2, bos_token_id=1,
        max_position_embeddings=64, initializer_range=0.4,
    )  # fmt: skip
    torch.manual_seed(1)
    seq2seq = replace(bundle, model=row.build(config).eval(), config=config)
    sampling = SamplingConfig(max_new_tokens=6, guidance=2.0, negative_prompt="天天", ignore_end=True)
    assert complete(seq2seq, ["a"], sampling)[0].choices[0].tokens == 6
    with pytest.raises(UsageError, match="led away from another source; set negative_prompt"):
        complete(seq2seq, ["a"], sampling.model_copy(update={"negative_prompt": None}))
