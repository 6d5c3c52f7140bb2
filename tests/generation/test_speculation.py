"""Speculation changes how fast an answer comes, and never which: token for token, or in distribution."""

from __future__ import annotations

import os
import random
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from tests.generation.test_sampling import chi_square_p

from wenlu.bundle import Bundle
from wenlu.errors import UsageError
from wenlu.generation.engine import Request
from wenlu.generation.sampling import uniform
from wenlu.generation.settings import Sampling, SamplingConfig
from wenlu.generation.speculation import Draft, Drafter, DraftModel, PromptLookup, first_layers, speculate, verify
from wenlu.generation.speculation.drafter import Draftee
from wenlu.generation.text import complete
from wenlu.models import LanguageModel, family
from wenlu.tasks.causal_lm import CausalLM
from wenlu.tokenizers import Tokenizer

PROOF = os.environ.get("WENLU_PROOF") == "1"
DRAWS = 20_000 if PROOF else 4_000
WORDS = ["The cat", "今天天气", "hello", " ate a", "🙂", " mat and", "的", " the"]
FORM = '{"enum": ["天天", [1, 1, 1, 1, 1], null]}'
RULES = {
    "drawn": SamplingConfig(max_new_tokens=24, temperature=0.7, seed=3),
    "ruled": SamplingConfig(
        max_new_tokens=24, temperature=0.9, top_p=0.9, repetition_penalty=1.2, stop=("e",), seed=4, top_logprobs=2
    ),
    "guided": SamplingConfig(max_new_tokens=12, guidance=1.5, temperature=0.5, negative_prompt="天", seed=5),
    "formed": SamplingConfig(
        max_new_tokens=40, json_schema='{"enum": ["天天", [1, 1, 1, 1, 1], null]}', temperature=1.0
    ),
}


def some_prompts(count: int) -> list[str]:
    chance = random.Random(1)
    return ["".join(chance.choices(WORDS, k=chance.randint(1, 12))) for _ in range(count)]


def drafters(model: LanguageModel) -> dict[str, Drafter]:
    return {"lookup": PromptLookup(), "early exit": DraftModel(first_layers(model, 1)), "itself": DraftModel(model)}


@pytest.mark.parametrize("kind", ["lookup", "early exit", "itself"])
def test_greedy_answers_are_those_without_speculation(bundle: Bundle, kind: str) -> None:
    prompts = some_prompts(50)
    sampling = SamplingConfig(max_new_tokens=10)
    plain = complete(bundle, prompts, sampling)
    drafter = drafters(bundle.model)[kind]
    found = [speculate(bundle, prompt, sampling, drafter) for prompt in prompts]
    assert [one.choice.ids for one in found] == [completion.choices[0].ids for completion in plain]
    assert all(one.accepted <= one.drafted and one.passes <= one.choice.tokens for one in found)
    assert all(one.passes + one.accepted >= one.choice.tokens for one in found)
    if kind == "itself":
        assert all(one.accepted == one.drafted for one in found)


@pytest.mark.parametrize("rules", ["drawn", "ruled", "guided", "formed"])
def test_drawn_answers_are_those_without_speculation_where_guesses_are_looked_up(bundle: Bundle, rules: str) -> None:
    for number, prompt in enumerate(some_prompts(5)):
        sampling = RULES[rules].model_copy(update={"seed": number})
        plain = complete(bundle, [prompt], sampling)[0].choices[0]
        found = speculate(bundle, prompt, sampling, PromptLookup(), count=3).choice
        assert (found.ids, found.text, found.finish) == (plain.ids, plain.text, plain.finish)
        assert list(found.logprobs) == pytest.approx(plain.logprobs, abs=1e-4)
        assert [[token for token, _ in top] for top in found.top] == [[token for token, _ in top] for top in plain.top]


@pytest.mark.parametrize("rules", ["ruled", "guided", "formed"])
def test_drawn_guesses_obey_the_rules_too(bundle: Bundle, rules: str) -> None:
    for number, prompt in enumerate(some_prompts(4)):
        sampling = RULES[rules].model_copy(update={"seed": number})
        found = speculate(bundle, prompt, sampling, DraftModel(first_layers(bundle.model, 1)))
        assert 0 < found.choice.tokens <= sampling.max_new_tokens
        if rules == "formed" and found.choice.finish == "stop":
            assert found.choice.text in ('"天天"', "[1, 1, 1, 1, 1]", "null")


@pytest.fixture
def toy(make_llama: Callable[..., LanguageModel], byte_tokenizer: Tokenizer) -> Bundle:
    """Two layers and eight tokens; its texts mean nothing."""
    model = make_llama(vocab_size=8)
    model.lm_head.weight.data *= 0.5  # so that no token is sure
    return Bundle(model=model, tokenizer=byte_tokenizer, task=CausalLM(), config=model.config, path=Path("toy"))


@torch.no_grad()
def shares(model: LanguageModel, prompt: list[int]) -> tuple[torch.Tensor, torch.Tensor]:
    """(8,) probabilities of the next token, and (8, 8) of the one after it, by the first."""
    first = model(torch.tensor([prompt]))[0, -1].double().softmax(dim=-1)
    second = model(torch.tensor([[*prompt, token] for token in range(8)]))[:, -1].double().softmax(dim=-1)
    return first, second


def test_two_tokens_that_were_guessed_and_verified_have_the_models_own_distribution(toy: Bundle) -> None:
    prompt = [2, 5, 3]
    first, second = shares(toy.model, prompt)
    guess_first, guess_second = shares(first_layers(toy.model, 1), prompt)
    counts, kept = np.zeros((8, 8)), 0
    for seed in range(DRAWS):
        numbers = [[uniform(seed, 0, place, stream=stream) for place in range(3 - stream // 2)] for stream in range(3)]
        one = pick(guess_first, numbers[2][0])
        two = pick(guess_second[one], numbers[2][1])
        draft = Draft((one, two), torch.stack([guess_first, guess_second[one]]))
        tokens = verify(torch.stack([first, second[one], first]), draft, numbers[1], numbers[0])
        kept += len(tokens) - 1
        if len(tokens) == 1:  # the next pass draws the second token
            tokens.append(pick(second[tokens[0]], numbers[0][1]))
        counts[tokens[0], tokens[1]] += 1
    expected = DRAWS * (first[:, None] * second).numpy()
    assert fit(counts, expected) > 1e-3
    # Each guess stays with the mass that the two distributions share (Leviathan et al., theorem 3.5).
    shared_first = torch.minimum(first, guess_first)
    shared_second = torch.minimum(second, guess_second).sum(dim=-1)
    shared = float(shared_first.sum() + (shared_first * shared_second).sum())
    assert kept / DRAWS == pytest.approx(shared, abs=4 * 0.8 / DRAWS**0.5)  # 0.8 is more than its deviation


def fit(counts: np.ndarray, expected: np.ndarray) -> float:
    """The p-value of Pearson's test; cells in which too little is expected for it are taken together."""
    likely = expected > 5
    assert likely.sum() > 10
    rest = [] if likely.all() else [(counts[~likely].sum(), expected[~likely].sum())]
    pairs = np.array([*zip(counts[likely], expected[likely], strict=True), *rest])
    return chi_square_p(pairs[:, 0], pairs[:, 1])


def pick(probabilities: torch.Tensor, number: float) -> int:
    return int(np.searchsorted(np.cumsum(probabilities.numpy()), number, side="right"))


@pytest.mark.parametrize("kind", ["lookup", "early exit"])
@pytest.mark.timeout(3000)
def test_two_tokens_of_speculate_have_the_models_own_distribution(toy: Bundle, kind: str) -> None:
    prompt, draws = [2, 5, 3, 2, 5], DRAWS if PROOF else 300
    first, second = shares(toy.model, prompt)
    drafter = drafters(toy.model)[kind]
    counts, drafted, accepted = np.zeros((8, 8)), 0, 0
    for seed in range(draws):
        sampling = SamplingConfig(max_new_tokens=2, temperature=1.0, seed=seed, ignore_end=True)
        found = speculate(toy, prompt, sampling, drafter)
        counts[found.choice.ids] += 1
        drafted, accepted = drafted + found.drafted, accepted + found.accepted
    assert fit(counts, draws * (first[:, None] * second).numpy()) > 1e-3
    assert 0 < accepted < drafted


def test_guesses_that_are_certain_are_compared_with_what_is_drawn() -> None:
    target = torch.tensor([[0.2, 0.8], [0.5, 0.5], [0.9, 0.1]], dtype=torch.float64)
    assert verify(target, Draft((1, 0)), [], [0.3, 0.4, 0.95]) == [1, 0, 1]
    assert verify(target, Draft((1, 0)), [], [0.1, 0.4, 0.95]) == [0]
    assert verify(target, Draft((1, 0)), [], [0.3, 0.6, 0.95]) == [1, 1]
    assert verify(target, Draft(), [], [0.1]) == [0]


def test_a_drawn_guess_stays_with_the_ratio_of_its_probabilities_or_gives_way_to_what_they_leave_out() -> None:
    target = torch.tensor([[0.2, 0.5, 0.3], [0.0, 0.0, 1.0]], dtype=torch.float64)
    draft = Draft((0,), torch.tensor([[0.8, 0.1, 0.1]], dtype=torch.float64))
    assert verify(target, draft, [0.24], [0.0, 0.0]) == [0, 2]  # 0.2 / 0.8 = 0.25
    # Else a token of (0, 0.4, 0.2) / 0.6.
    assert verify(target, draft, [0.26], [0.6, 0.0]) == [1]
    assert verify(target, draft, [0.26], [0.7, 0.0]) == [2]


def test_a_guess_as_likely_as_the_model_finds_it_always_stays() -> None:
    same = torch.tensor([[0.2, 0.5, 0.3]], dtype=torch.float64)
    assert verify(same.expand(2, 3), Draft((2,), same), [1 - 2**-53], [0.9, 0.1]) == [2, 0]


def test_look_up_takes_what_followed_the_longest_end_last() -> None:
    def guess(text: list[int], **sizes: int) -> tuple[int, ...]:
        return PromptLookup(**sizes).propose(Draftee(Request(text, 9), 9, text[:2], text[2:]), 3).tokens

    assert guess([1, 2, 3, 9, 1, 2, 3, 8, 7, 6, 1, 2, 3]) == (8, 7, 6)
    assert guess([5, 3, 4, 1, 3, 7, 5, 3]) == (4, 1, 3)  # two tokens in a row before the later single one
    assert guess([5, 3, 4, 1, 3, 7, 5, 3], most=1) == (7, 5, 3)
    assert guess([1, 2, 3]) == ()
    assert guess([1, 2, 1], least=2) == ()
    assert guess([4, 4]) == (4,)


def test_a_draft_model_guesses_the_same_whatever_it_read_before(bundle: Bundle) -> None:
    request = Request([1, 2, 3], 9, Sampling(temperature=1.0), seed=6)
    kept = DraftModel(bundle.model)
    for answer in ([4], [4, 5, 6], [4, 9], [], [4, 5, 6, 7]):
        row = Draftee(request, 9, request.prompt, answer)
        fresh = DraftModel(bundle.model).propose(row, 3)
        found = kept.propose(row, 3)
        assert found.tokens == fresh.tokens
        torch.testing.assert_close(found.probabilities, fresh.probabilities, atol=1e-5, rtol=0)


def test_a_draft_model_guesses_nothing_beyond_its_context(make_llama: Callable[..., LanguageModel]) -> None:
    short = DraftModel(make_llama(context=8))
    row = Draftee(Request([1] * 6, 9), 9, [1] * 6, [2])
    assert len(short.propose(row, 4).tokens) == 1
    assert short.propose(row.behind([1]), 4).tokens == ()


def test_the_first_layers_answer_as_a_model_of_so_many(make_llama: Callable[..., LanguageModel]) -> None:
    model = make_llama()
    ids = torch.tensor([[1, 2, 3]])
    expected = model(ids)
    early = first_layers(model, 1)
    hooked: list[torch.Tensor] = []
    handle = model.layers[0].register_forward_hook(lambda *call: hooked.append(call[2]))
    model(ids)
    handle.remove()
    torch.testing.assert_close(early(ids), model.lm_head(model.norm(hooked[0])))
    torch.testing.assert_close(model(ids), expected)
    assert early.lm_head is model.lm_head


def test_what_speculation_cannot_do_is_said(bundle: Bundle, make_llama: Callable[..., LanguageModel]) -> None:
    row = family("lstm")
    lstm = row.build(row.config(vocab_size=bundle.tokenizer.vocab_size, hidden_size=8, num_hidden_layers=1))
    sampling = SamplingConfig(max_new_tokens=4, temperature=1.0)
    other = replace(bundle, model=lstm, config=lstm.config)
    for wrong, message in (
        (
            lambda: speculate(other, "a", sampling, PromptLookup()),
            "keeps a RecurrentState, from which tokens cannot be",
        ),
        (lambda: first_layers(bundle.model, 2), "early exit behind 2 layers: Llama has 2 that it could leave"),
        (lambda: first_layers(lstm, 1), "early exit behind 1 layers: LSTM.* has 0"),
        (
            lambda: speculate(bundle, "a", sampling.model_copy(update={"cache": "int8"}), PromptLookup()),
            "cache='int8' is",
        ),
        (lambda: speculate(bundle, "a", sampling.model_copy(update={"n": 2}), PromptLookup()), "only one answer"),
        (
            lambda: speculate(bundle, "a", sampling, DraftModel(make_llama(vocab_size=48))),
            r"the draft model has 48 tokens, and the text one with id \d+; both models need the same tokenizer",
        ),
    ):
        with pytest.raises(UsageError, match=message):
            wrong()


def test_a_summary_tells_how_many_guesses_were_kept(bundle: Bundle) -> None:
    found = speculate(
        bundle, "The", SamplingConfig(max_new_tokens=9, ignore_end=True), DraftModel(bundle.model), count=2
    )
    assert str(found) == "9 tokens in 3 passes: 6 of 6 guesses kept (100%)"
