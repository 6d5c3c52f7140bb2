from __future__ import annotations

import pytest
from tests.explanation.handmade import REASONS, handmade

from wenlu.explanation.reasons import ENGLISH, Reason


@pytest.mark.parametrize(
    ("reason", "sentence"),
    [
        (Reason("incomplete", {"percent": 3.21}), "attributions miss the difference to the baseline by 3.2 %; "),
        (Reason("unsteady", {"correlation": 0.306}), "other seeds rank the units otherwise (correlation 0.31); "),
        (Reason("untold", {"units": 3, "orders": 6}), "3 units and 6 random orders do not suffice "),
        (Reason("chance", {"p_value": 0.414}), "matter no more than in random orders (p = 0.41); "),
        (Reason("independent", {"correlation": 0.47}), "weights were shuffled (correlation 0.47), so it tells "),
    ],
    ids=list(ENGLISH),
)
def test_a_reason_is_a_sentence_with_its_numbers(reason: Reason, sentence: str) -> None:
    assert sentence in str(reason)


def test_json_gives_reasons_as_sentences() -> None:
    reasons = handmade(verdict="unfaithful").as_json()["certificate"]["reasons"]
    assert list(reasons) == [str(reason) for reason in REASONS["unfaithful"]]
