"""Parts of the examples: which there are, and that a difference in one of them is found there."""

from __future__ import annotations

import numpy as np

from wenlu.evaluation.slices import slices
from wenlu.metrics import ACCURACY


def test_a_system_that_fails_on_one_source_is_found_there() -> None:
    rng = np.random.default_rng(0)
    a = (rng.random(400) < 0.9).astype(float)
    b = a.copy()
    news = np.arange(400) < 100
    b[news] = (rng.random(100) < 0.4).astype(float)
    facts = [{"source": "news" if inside else "mails", "script": "Latin", "characters": 50} for inside in news]
    found = slices(ACCURACY, {"correct": a}, {"correct": b}, [str(n) for n in range(400)], facts)
    assert [(part.by, part.of, part.n) for part in found] == [("source", "mails", 300), ("source", "news", 100)]
    mails, news_part = found
    assert (mails.a, mails.p_value) == (mails.b, 1.0)
    assert news_part.p_value < 0.01


def test_lengths_are_cut_in_thirds_and_small_parts_are_left_out() -> None:
    facts = [{"characters": n, "source": "tiny" if n < 5 else "large"} for n in range(90)]
    ones = {"correct": np.ones(90)}
    found = slices(ACCURACY, ones, ones, [str(n) for n in range(90)], facts)
    assert [(part.by, part.of, part.n) for part in found] == [
        ("source", "large", 85),
        ("characters", "up to 29", 30),
        ("characters", "up to 59", 30),
        ("characters", "over 59", 30),
    ]


def test_facts_of_many_values_cut_nothing() -> None:
    facts = [{"label": str(n), "characters": 7} for n in range(100)]
    ones = {"correct": np.ones(100)}
    assert slices(ACCURACY, ones, ones, [str(n) for n in range(100)], facts) == ()
