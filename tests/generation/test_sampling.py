"""Processors against `transformers`, draws against their distribution."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest
import torch
from torch import Tensor
from transformers.generation import logits_process as oracle

from wenlu.generation.sampling import (
    draw,
    frequency_penalty,
    logit_bias,
    min_p,
    penalise,
    presence_penalty,
    repetition_penalty,
    temperature,
    top_k,
    top_p,
    typical,
    uniform,
    warp,
)
from wenlu.generation.settings import Sampling

HISTORY = torch.tensor([[1, 4, 4, 9], [0, 2, 3, 2], [5, 5, 5, 5]])


def chi_square_p(observed: np.ndarray, expected: np.ndarray) -> float:
    """Probability that counts deviate this far from `expected` by chance (Pearson 1900)."""
    assert len(observed) > 1, "nothing to compare"
    statistic = ((observed - expected) ** 2 / expected).sum()
    half = torch.tensor([(len(observed) - 1) / 2, statistic / 2], dtype=torch.float64)
    return float(torch.special.gammaincc(half[0], half[1]))


def some_logits(rows: int = 3, vocab: int = 50, seed: int = 0) -> Tensor:
    return 3 * torch.randn(rows, vocab, generator=torch.Generator().manual_seed(seed))


@pytest.mark.parametrize(
    ("ours", "theirs"),
    [
        (lambda x: temperature(x, 0.7), oracle.TemperatureLogitsWarper(0.7)),
        (lambda x: top_k(x, 5), oracle.TopKLogitsWarper(5)),
        (lambda x: top_k(x, 500), oracle.TopKLogitsWarper(500)),
        (lambda x: top_p(x, 0.6), oracle.TopPLogitsWarper(0.6)),
        (lambda x: top_p(x, 1e-6), oracle.TopPLogitsWarper(1e-6)),
        (lambda x: min_p(x, 0.1), oracle.MinPLogitsWarper(0.1)),
        (lambda x: min_p(x, 1.0), oracle.MinPLogitsWarper(1.0)),
        (lambda x: typical(x, 0.3), oracle.TypicalLogitsWarper(0.3)),
        (lambda x: typical(x, 0.95), oracle.TypicalLogitsWarper(0.95)),
        (lambda x: typical(top_k(x, 4), 0.9), lambda ids, x: oracle.TypicalLogitsWarper(0.9)(ids, top_k(x, 4))),
        (
            lambda x: logit_bias(x, ((7, 2.5), (9, -100.0))),
            oracle.SequenceBiasLogitsProcessor({(7,): 2.5, (9,): -100.0}),
        ),
    ],
    ids=[
        "temperature",
        "top_k",
        "top_k_all",
        "top_p",
        "top_p_one",
        "min_p",
        "min_p_one",
        "typical",
        "typical_most",
        "typical_of_few",
        "logit_bias",
    ],
)
@pytest.mark.parametrize("seed", range(4))
def test_a_processor_equals_that_of_transformers(
    ours: Callable[[Tensor], Tensor], theirs: oracle.LogitsProcessor, seed: int
) -> None:
    logits = some_logits(seed=seed)
    assert torch.equal(ours(logits), theirs(HISTORY, logits.clone()))


@pytest.mark.parametrize("penalty", [0.5, 1.3])
def test_the_repetition_penalty_equals_that_of_transformers(penalty: float) -> None:
    logits = some_logits()
    seen = torch.zeros_like(logits, dtype=torch.bool).scatter(1, HISTORY, True)
    expected = oracle.RepetitionPenaltyLogitsProcessor(penalty)(HISTORY, logits.clone())
    assert torch.equal(repetition_penalty(logits, seen, penalty), expected)


def test_the_rules_apply_in_the_order_of_transformers() -> None:
    rules = Sampling(
        logit_bias=((4, 1.5), (20, -3)), repetition_penalty=1.2, temperature=0.8, top_k=20, top_p=0.9, min_p=0.02,
        typical_p=0.8,
    )  # fmt: skip
    logits = some_logits()
    expected = logits.clone()
    for processor in (
        oracle.SequenceBiasLogitsProcessor({(4,): 1.5, (20,): -3.0}),
        oracle.RepetitionPenaltyLogitsProcessor(1.2),
        oracle.TemperatureLogitsWarper(0.8),
        oracle.TopKLogitsWarper(20),
        oracle.TopPLogitsWarper(0.9),
        oracle.MinPLogitsWarper(0.02),
        oracle.TypicalLogitsWarper(0.8),
    ):
        expected = processor(HISTORY, expected)
    penalised = penalise(logits, rules, HISTORY[:, :2].tolist(), HISTORY[:, 2:].tolist())
    assert torch.equal(warp(penalised, rules), expected)


def test_typical_keeps_what_surprises_as_expected() -> None:
    # Probabilities 1/2, 1/4, 1/8, 1/8: the entropy is 1.75 bits, so a surprise of 2 bits is nearest, then 1, then 3.
    logits = torch.tensor([[0.5, 0.25, 0.125, 0.125]]).log()
    assert typical(logits, 0.2).isfinite().tolist() == [[False, True, False, False]]
    assert typical(logits, 0.5).isfinite().tolist() == [[True, True, False, False]]
    assert typical(logits, 0.8).isfinite().tolist() == [[True, True, True, True]]


def test_presence_counts_a_token_once_and_frequency_each_time() -> None:
    logits = torch.zeros(1, 6)
    counts = torch.tensor([[0, 1, 3, 0, 0, 0]])
    assert presence_penalty(logits, counts, 0.5).tolist() == [[0, -0.5, -0.5, 0, 0, 0]]
    assert frequency_penalty(logits, counts, 0.5).tolist() == [[0, -0.5, -1.5, 0, 0, 0]]


def test_presence_and_frequency_leave_the_prompt_alone() -> None:
    rules = Sampling(presence_penalty=1.0, frequency_penalty=0.25)
    penalised = penalise(torch.zeros(1, 4), rules, prompts=[[0, 0, 1]], answers=[[2, 2]])
    assert penalised.tolist() == [[0, 0, -1.5, 0]]


@pytest.mark.parametrize(
    "rules",
    [
        Sampling(temperature=1.0),
        Sampling(temperature=1.7, top_k=6),
        Sampling(temperature=0.6, top_p=0.8),
        Sampling(temperature=1.2, min_p=0.15),
        Sampling(temperature=1.4, typical_p=0.7),
    ],
    ids=["whole", "top_k", "top_p", "min_p", "typical_p"],
)
def test_draws_follow_the_distribution(rules: Sampling) -> None:
    n = 20_000
    logits = warp(some_logits(rows=1, vocab=12).double() / 3, rules)
    tokens = draw(logits.expand(n, -1), [uniform(7, 0, position) for position in range(n)])
    probabilities = logits.softmax(dim=-1)[0].numpy()
    counts = np.bincount(tokens.numpy(), minlength=12)
    kept = probabilities > 0
    assert counts[~kept].sum() == 0
    assert chi_square_p(counts[kept], n * probabilities[kept]) > 1e-3


@pytest.mark.parametrize("number", [0.0, 1 - 2**-53])
def test_a_draw_at_the_edge_takes_a_token_that_may_be_drawn(number: float) -> None:
    logits = torch.tensor([[-torch.inf, 1.0, 0.3, -torch.inf], [0.1, -torch.inf, -torch.inf, -torch.inf]])
    tokens = draw(logits, [number, number])
    assert tokens.tolist() == [1 if number == 0 else 2, 0]


def test_the_largest_number_stays_inside_every_total() -> None:
    logits = torch.randn(5000, 7, generator=torch.Generator().manual_seed(1))
    assert int(draw(logits, [1 - 2**-53] * 5000).max()) == 6


def test_the_chi_square_of_a_known_table_is_that_of_the_textbook() -> None:
    assert chi_square_p(np.array([16, 18, 16, 14, 12, 12]), np.full(6, 88 / 6)) == pytest.approx(0.8486, abs=1e-3)


def test_a_draw_takes_the_token_whose_share_covers_the_number() -> None:
    logits = torch.tensor([[0.2, 0.5, 0.3]]).log().expand(4, 3)
    assert draw(logits, [0.1, 0.21, 0.69, 0.71]).tolist() == [0, 1, 1, 2]


def test_the_numbers_are_a_pure_function_of_seed_choice_and_position() -> None:
    forward = [uniform(5, 1, position) for position in range(50)]
    assert forward == [uniform(5, 1, position) for position in reversed(range(50))][::-1]
    assert len({*forward, *(uniform(5, 2, p) for p in range(50)), *(uniform(6, 1, p) for p in range(50))}) == 150


def test_the_numbers_of_neighbouring_seeds_choices_and_positions_are_uncorrelated() -> None:
    grid = np.array([[[uniform(s, c, p) for p in range(24)] for c in range(12)] for s in range(12)])
    for axis in range(3):
        left, right = np.delete(grid, -1, axis).ravel(), np.delete(grid, 0, axis).ravel()
        assert abs(np.corrcoef(left, right)[0, 1]) < 4 / np.sqrt(left.size)
    histogram = np.histogram(grid, bins=20, range=(0, 1))[0]
    assert chi_square_p(histogram, np.full(20, grid.size / 20)) > 1e-3


def test_the_largest_seed_works() -> None:
    assert 0 <= uniform(2**64 - 1, 0, 10**6) < 1
