"""Rollouts: advantages are of groups, one mask sums and counts, and a toy task is learnt by reward alone."""

from __future__ import annotations

import os
from dataclasses import replace
from typing import Any

import numpy as np
import pytest
import torch
from tests.evaluation.test_passing import KNOWN, held
from tests.tasks.test_dialogue import chat, task_for, tiny
from tests.tasks.tiny import NewTokenizer

from wenlu.config import check
from wenlu.errors import ConfigError, DataError
from wenlu.models import LanguageModel
from wenlu.tasks import Code, Dialogue, Draw, Loss, new_task, read_settings
from wenlu.tokenizers import ROLE_TOKENS, Tokenizer
from wenlu.training.rollouts import Rollouts, RolloutsConfig, advantages_of, policy_loss
from wenlu.training.verifiable import last_number, rewards_of

PROOF = os.environ.get("WENLU_PROOF") == "1"
CONTEXT = 48
ASKED = [chat("the cat?", "mat"), chat("the dog?", "log"), chat("then?", "cat"), chat("4 times?", "dog")]


@pytest.fixture
def tokenizer(new_tokenizer: NewTokenizer) -> Tokenizer:
    return new_tokenizer(special=ROLE_TOKENS)


def rolled(task: Dialogue, reference: LanguageModel | None = None, **settings: Any) -> Rollouts:
    config = check(RolloutsConfig, {"group": 4, "max_new_tokens": 4, **settings}, where="[rollouts]")
    return Rollouts(task, task.rows(ASKED, CONTEXT), ASKED, config, reference)


def drawn(rollouts: Rollouts, *places: int) -> Draw:
    return Draw.at(rollouts.source, np.array(places or range(len(ASKED))))


def test_advantages_are_of_the_group_and_none_where_all_are_alike() -> None:
    """Of 1, 0, 0, 1 the mean is 1/2 and the standard deviation of a sample √(1/3)."""
    rewards = torch.tensor([[1.0, 0.0, 0.0, 1.0], [1.0, 1.0, 1.0, 1.0]], dtype=torch.float64)
    half = 0.5 / ((1 / 3) ** 0.5 + 1e-4)
    expected = torch.tensor([[half, -half, -half, half], [0.0] * 4], dtype=torch.float64)
    torch.testing.assert_close(advantages_of(rewards, scale="group"), expected)
    torch.testing.assert_close(advantages_of(rewards, scale="none")[0], torch.tensor([0.5, -0.5, -0.5, 0.5]).double())


def case(seed: int = 0) -> dict[str, Any]:
    random = torch.Generator().manual_seed(seed)
    asked = torch.tensor([[0, 1, 1, 1], [1, 0, 0, 0], [1, 1, 0, 0], [0, 0, 1, 1]]).bool()
    logps = -torch.rand(4, 4, generator=random, dtype=torch.float64) * asked
    rewards = torch.tensor([[1.0, 0.0, 0.0, 1.0]], dtype=torch.float64)
    return {"logps": logps.requires_grad_(), "advantages": advantages_of(rewards, scale="group")[0], "asked": asked}


def test_without_a_divergence_the_first_loss_is_zero_and_its_gradient_that_of_the_reward() -> None:
    """∂/∂log π of a token is -A / (tokens of its answer), though the value is the sum of the advantages, 0."""
    given = case()
    total, count, divergence = policy_loss(**given, reference=None, beta=0.0, normalise="answers")
    assert (total.item(), count, divergence) == (pytest.approx(0, abs=1e-12), 4, 0.0)
    torch.autograd.backward(total)
    lengths = given["asked"].sum(dim=1, keepdim=True)
    expected = -given["advantages"][:, None] / lengths * given["asked"]
    torch.testing.assert_close(given["logps"].grad, expected)


def test_what_is_summed_is_what_is_counted() -> None:
    """Values where nothing is asked change neither; each token counts alike, or each answer does."""
    given = case()
    reference = torch.full((4, 4), -0.5, dtype=torch.float64)
    noisy = given["logps"].detach().masked_fill(~given["asked"], -7.0)
    for normalise in ("answers", "tokens"):
        plain, other = (
            policy_loss(logps, given["advantages"], given["asked"], reference, beta=0.3, normalise=normalise)  # type: ignore[arg-type]
            for logps in (given["logps"].detach(), noisy)
        )
        assert plain[0].item() == pytest.approx(other[0].item(), rel=1e-12)
        assert plain[1:] == pytest.approx(other[1:])
        assert plain[1] == (8 if normalise == "tokens" else 4)


def test_the_divergence_is_never_negative_and_none_from_oneself() -> None:
    for seed in range(30):
        given = case(seed)
        logps = given["logps"].detach()
        nothing = torch.zeros(4, dtype=torch.float64)
        reference = -torch.rand(4, 4, generator=torch.Generator().manual_seed(99 - seed), dtype=torch.float64)
        far = policy_loss(logps, nothing, given["asked"], reference, beta=1.0, normalise="tokens")
        same = policy_loss(logps, nothing, given["asked"], logps, beta=1.0, normalise="tokens")
        assert far[0].item() == pytest.approx(far[2])
        assert far[2] > 0
        assert same[0].item() == pytest.approx(0, abs=1e-12)
        by_hand = sum(
            float(torch.exp(r - p) - (r - p) - 1)
            for p, r in zip(logps[given["asked"]], reference[given["asked"]], strict=True)
        )
        assert far[2] == pytest.approx(by_hand)


def test_numbers_forms_and_texts_are_told_apart(tokenizer: Tokenizer) -> None:
    task = task_for(tokenizer)
    assert [last_number(text) for text in ("so it is 1,042.", "-3.5 or 7", "none")] == [1042.0, 7.0, None]
    numbers = [chat("4 times?", "it is 7")]
    assert rewards_of("number", task, numbers, [["7 times", "7 or 8", "x", "so 7.0"]]) == [[1.0, 0.0, 0.0, 1.0]]
    assert rewards_of("match", task, ASKED[:1], [["mat", " mat ", "the mat"]]) == [[1.0, 1.0, 0.0]]
    assert rewards_of("pattern", task, ASKED[:1], [["<a>1</a>", "1"]], pattern="<a>.*</a>") == [[1.0, 0.0]]
    with pytest.raises(DataError, match="the answer 'mat' has no number to compare with"):
        rewards_of("number", task, ASKED[:1], [["1"]])


@held
def test_programs_are_rewarded_for_passing_their_tests(new_tokenizer: NewTokenizer) -> None:
    task = new_task(read_settings({"name": "code", "fill_in_the_middle": 0}), new_tokenizer())
    assert isinstance(task, Code)
    written = [["    return 2 * x", "    return x", "    raise SystemExit"], ["    return x * 2"] * 3]
    assert rewards_of("unit-tests", task, KNOWN, written) == [[1.0, 0.0, 0.0], [1.0] * 3]
    with pytest.raises(DataError, match="a:1: no unit_tests and entry_point to judge its function by"):
        rewards_of("unit-tests", task, [replace(KNOWN[0], unit_tests=None)], [[]])


def test_a_group_is_written_for_each_prompt_and_ends_where_the_model_ends_it(tokenizer: Tokenizer) -> None:
    task, model = task_for(tokenizer), tiny(tokenizer).train()
    rollouts = rolled(task)
    torch.manual_seed(1)
    written = rollouts.written(model, [0, 2])
    assert model.training
    assert written.rewards.shape == (2, 4)
    assert len(written.batch.input_ids) == 8
    asked = written.batch.targets != -100
    assert asked.sum(dim=1).min() >= 1
    assert asked.sum(dim=1).max() <= 4
    prompts = task.prompts([ASKED[0], ASKED[2]], CONTEXT)
    for row, prompt in zip(written.batch.input_ids, [prompts[0]] * 4 + [prompts[1]] * 4, strict=True):
        assert row[: len(prompt)].tolist() == prompt
    torch.manual_seed(1)
    again = rollouts.written(model, [0, 2])
    assert torch.equal(again.batch.input_ids, written.batch.input_ids)


def test_a_step_learns_and_validation_is_the_tasks_own(tokenizer: Tokenizer) -> None:
    task, model = task_for(tokenizer), tiny(tokenizer).train()
    rollouts = rolled(task, reference=tiny(tokenizer), beta=0.1, reward="pattern", pattern="(.|\n){0,2}")
    batch = rollouts.batch(drawn(rollouts))
    found = rollouts.loss(model, batch)
    assert found.count == 16
    assert {"reward", "divergence", "silent_groups", "answer_tokens"} == {*found.parts}
    torch.autograd.backward(found.sum)
    model.eval()
    assert rollouts.loss(model, batch).sum.item() == task.loss(model, task.batch(drawn(rollouts))).sum.item()


def test_what_cannot_be_judged_is_refused(tokenizer: Tokenizer) -> None:
    with pytest.raises(ConfigError, match=r'rollouts\.reward="unit-tests": is of task\.name="code", but task is dial'):
        rolled(task_for(tokenizer), reward="unit-tests")
    with pytest.raises(DataError, match="the answer 'mat' has no number to compare with"):
        rolled(task_for(tokenizer), reward="number")
    with pytest.raises(ConfigError, match=r"answer each prompt by itself; set task\.packing=false"):
        rolled(task_for(tokenizer, packing=True))
    with pytest.raises(ConfigError, match=r'reward = "pattern" and pattern = "…" belong together'):
        rolled(task_for(tokenizer), reward="pattern")
    with pytest.raises(ConfigError, match="group: answers are compared with others to the same prompt; set 2 or more"):
        rolled(task_for(tokenizer), group=1)


@pytest.mark.skipif(not PROOF, reason="learning by reward takes a minute or two")
@pytest.mark.timeout(1800)
def test_a_toy_task_is_learnt_by_reward_alone(tokenizer: Tokenizer) -> None:
    """Which of three words answers which of three questions, from a model that says each of them to any."""
    task, model = task_for(tokenizer), tiny(tokenizer).float().train()
    questions, words = ("the cat?", "the dog?", "then?"), ("4", "7", "x")
    every = [chat(question, word) for question in questions for word in words]
    right = [chat(question, word) for question, word in zip(questions, words, strict=True)]
    optimizer = torch.optim.Adam(model.parameters(), lr=1e-3)
    torch.manual_seed(0)
    start = task.rows(every, CONTEXT)
    whole = task.batch(Draw.at(start, np.arange(len(start))))
    for _ in range(100):
        step(optimizer, task.loss(model, whole))
    rollouts = Rollouts(task, task.rows(right, CONTEXT), right, RolloutsConfig(group=32, max_new_tokens=2))
    rewards: list[float] = []
    for _ in range(400):
        found = rollouts.loss(model, rollouts.batch(Draw.at(rollouts.source, np.arange(len(right)))))
        step(optimizer, found)
        rewards.append(found.parts["reward"].sum / found.parts["reward"].count)
        if np.mean(rewards[-5:]) > 0.97:
            break
    assert rewards[0] < 0.5
    assert np.mean(rewards[-5:]) > 0.95


def step(optimizer: torch.optim.Optimizer, loss: Loss) -> None:
    optimizer.zero_grad()
    torch.autograd.backward(loss.sum / loss.count)
    optimizer.step()
