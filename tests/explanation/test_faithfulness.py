"""What is put first must matter more than what comes by chance."""

from __future__ import annotations

import numpy as np
import pytest
from tests.explanation.subjects import Game, additive

from wenlu.explanation.certificate import certified, judged, rank_correlation
from wenlu.explanation.faithfulness import SHARES, all_orders, faithfulness, removals
from wenlu.explanation.methods import Attribution, EffortConfig, Method, occlusion

TERMS = [0.1, -0.2, 3.0, 0.0, 0.05, 2.0, -0.1, 0.2, 0.0, -1.0, 0.1, 0.0]


def test_the_true_order_beats_random_ones() -> None:
    game = additive(*TERMS)
    found = faithfulness(game, game.units, np.array(TERMS), orders=200)
    assert found.is_faithful
    assert found.percentile > 0.95
    assert found.comprehensiveness.value > found.comprehensiveness.random_high
    assert found.sufficiency.value < found.sufficiency.random_mean


def test_random_explanations_are_rejected_as_often_as_the_level_says() -> None:
    game = additive(*TERMS)
    accepted = [
        faithfulness(
            game, game.units, np.random.default_rng(seed).normal(size=12), orders=40, seed=seed + 1000
        ).is_faithful
        for seed in range(200)
    ]
    assert np.mean(accepted) < 0.1  # 5 % expected; 1 in 1,000 that 200 draws give twice that


def test_taking_out_everything_is_the_fall_to_nothing() -> None:
    game = additive(*TERMS[:2])
    ends = game.ask(np.array([[True, True], [False, False]])).chances
    cuts = removals(game, game.units, [[0, 1]])
    # Of two units each share but the last is one unit, and the last is one, too.
    alone = game.ask(np.array([[False, True], [True, False]])).chances
    assert cuts[0] == pytest.approx([ends[0] - alone[0], ends[0] - alone[1]])
    assert len(SHARES) == 5


def test_of_few_units_all_orders_that_differ_are_tried() -> None:
    assert len(all_orders(3)) == 6  # the first, then the first two
    assert len(all_orders(5)) == 30  # the first, then two of the others
    game = additive(3.0, 0.2, -1.0, 0.1, 0.0)
    found = faithfulness(game, game.units, np.array([3.0, 0.2, -1.0, 0.1, 0.0]), orders=40)
    assert (found.orders, found.p_value, found.can_be_told) == (30, 0.0, True)  # none is better


def test_three_units_cannot_be_told_from_chance() -> None:
    game = additive(3.0, 0.0, -1.0)
    found = faithfulness(game, game.units, np.array([3.0, 0.0, -1.0]), orders=40)
    assert not found.can_be_told
    verdict, (reason,) = judged(Attribution(np.zeros(3)), found, None, None, 3)
    assert verdict == "unfaithful"
    assert "3 units and 6 random orders do not suffice" in str(reason)


def test_an_explanation_that_no_weight_changes_is_unfaithful() -> None:
    game = additive(*sorted(TERMS))
    always = Method("length", "position", "model", lambda *_: Attribution(np.arange(12.0)))
    found = certified(
        game, game.units, always, Attribution(np.arange(12.0)), EffortConfig(), unit="word", orders=40, randomisations=3
    )
    assert found.randomisation == pytest.approx(1.0)
    assert found.verdict == "unfaithful"


def test_a_sum_that_is_off_is_unconverged_whatever_else() -> None:
    game = additive(*TERMS)
    found = Attribution(np.array(TERMS), completeness_error=0.02, steps=8)
    certificate = certified(
        game, game.units, occlusion.METHOD, found, EffortConfig(), unit="word", orders=40, randomisations=3
    )
    assert certificate.verdict == "unconverged"
    assert "miss the difference to the baseline by 2 %" in str(certificate.reasons[0])
    assert certificate.randomisations == 0


def test_a_true_explanation_is_valid() -> None:
    game = additive(*TERMS)
    found = occlusion.attribute(game, game.units, EffortConfig())
    certificate = certified(
        game, game.units, occlusion.METHOD, found, EffortConfig(), unit="word", orders=40, randomisations=5
    )
    assert (certificate.verdict, certificate.reasons) == ("valid", ())
    assert (certificate.value, certificate.base) == pytest.approx((sum(TERMS), 0.0))


def test_rank_correlation_is_spearmans() -> None:
    from scipy.stats import spearmanr

    dice = np.random.default_rng(0)
    for _ in range(60):
        a, b = dice.integers(0, 5, (2, 9)).astype(float)
        assert rank_correlation(a, b) == pytest.approx(spearmanr(a, b).statistic)
    assert rank_correlation(np.ones(4), np.arange(4.0)) == 0


def test_the_random_orders_of_a_seed_are_the_same() -> None:
    game = Game(lambda kept: kept.sum(axis=1), 12)
    first, second = (faithfulness(game, game.units, np.arange(12.0), orders=30, seed=4) for _ in range(2))
    assert first == second


def test_where_nothing_matters_no_order_is_faithful() -> None:
    game = Game(lambda kept: np.ones(len(kept)), 12)
    found = faithfulness(game, game.units, np.arange(12.0), orders=40)
    assert (found.percentile, found.is_faithful) == (0.0, False)


def test_one_word_that_decides_is_faithful_though_others_begin_with_it_by_chance() -> None:
    terms = [0.0] * 12 + [8.0]
    game = additive(*terms)
    assert all(faithfulness(game, game.units, np.array(terms), orders=40, seed=seed).is_faithful for seed in range(30))
