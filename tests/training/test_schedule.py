from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from wenlu.training.schedule import ScheduleConfig, learning_rate_factor

NAMES = ["cosine", "warmup-stable-decay", "constant"]


@given(
    name=st.sampled_from(NAMES),
    steps=st.integers(1, 300),
    warmup=st.integers(0, 400),
    decay=st.floats(0, 1),
    final=st.floats(0, 1),
)
def test_the_rate_stays_between_nothing_and_its_peak(
    name: str, steps: int, warmup: int, decay: float, final: float
) -> None:
    config = ScheduleConfig(name=name, warmup_steps=warmup, decay_fraction=decay, final_fraction=final)  # type: ignore[arg-type]
    assert all(0 < learning_rate_factor(config, step, steps) <= 1 for step in range(steps)) or final == 0


@pytest.mark.parametrize("name", NAMES)
def test_warm_up_rises_linearly_to_the_peak(name: str) -> None:
    config = ScheduleConfig(name=name, warmup_steps=4)  # type: ignore[arg-type]
    assert [learning_rate_factor(config, step, 100) for step in range(4)] == [0.25, 0.5, 0.75, 1.0]


@pytest.mark.parametrize("name", ["cosine", "warmup-stable-decay"])
def test_the_rate_never_rises_after_warm_up_and_ends_near_the_final_fraction(name: str) -> None:
    config = ScheduleConfig(name=name, warmup_steps=5, final_fraction=0.1)  # type: ignore[arg-type]
    rates = [learning_rate_factor(config, step, 1000) for step in range(5, 1000)]
    assert rates == sorted(rates, reverse=True)
    assert rates[-1] == pytest.approx(0.1, abs=0.01)


def test_cosine_is_half_way_down_in_the_middle() -> None:
    config = ScheduleConfig(name="cosine", warmup_steps=0)
    assert learning_rate_factor(config, 499, 999) == pytest.approx(0.5)


def test_warmup_stable_decay_holds_the_peak_until_the_decay() -> None:
    config = ScheduleConfig(name="warmup-stable-decay", warmup_steps=10, decay_fraction=0.5)
    assert {learning_rate_factor(config, step, 210) for step in range(10, 109)} == {1.0}
    assert learning_rate_factor(config, 160, 210) == pytest.approx(0.5, abs=0.01)
