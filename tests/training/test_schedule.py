"""What every schedule owes, and a few of its values worked out by hand."""

from __future__ import annotations

from itertools import pairwise
from typing import get_args

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import ValidationError

from wenlu.training.schedule import ScheduleConfig, ScheduleName, learning_rate_factor

NAMES: tuple[ScheduleName, ...] = get_args(ScheduleName)
FALLING: tuple[ScheduleName, ...] = ("linear", "cosine", "warmup-stable-decay")


def factors(config: ScheduleConfig, steps: int) -> list[float]:
    return [learning_rate_factor(config, step, steps) for step in range(steps)]


@given(
    name=st.sampled_from(NAMES),
    steps=st.integers(1, 300),
    warmup=st.integers(0, 400),
    decay=st.floats(0, 1),
    final=st.floats(0, 1),
)
def test_the_rate_stays_between_nothing_and_its_peak(
    name: ScheduleName, steps: int, warmup: int, decay: float, final: float
) -> None:
    config = ScheduleConfig(name=name, warmup_steps=warmup, decay_fraction=decay, final_fraction=final)
    assert all(0 < factor <= 1 for factor in factors(config, steps))


@pytest.mark.parametrize("name", NAMES)
def test_warm_up_rises_linearly_to_the_peak(name: ScheduleName) -> None:
    assert factors(ScheduleConfig(name=name, warmup_steps=4), 100)[:4] == [0.25, 0.5, 0.75, 1.0]


@pytest.mark.parametrize("name", NAMES)
def test_a_run_shorter_than_its_warm_up_reaches_the_peak_at_its_end(name: ScheduleName) -> None:
    assert factors(ScheduleConfig(name=name, warmup_steps=50), 4) == [0.25, 0.5, 0.75, 1.0]


@pytest.mark.parametrize("name", NAMES)
def test_the_rate_never_rises_after_warm_up(name: ScheduleName) -> None:
    after = factors(ScheduleConfig(name=name, warmup_steps=5, final_fraction=0.1), 1000)[5:]
    assert after == sorted(after, reverse=True)


@pytest.mark.parametrize("final", [0.0, 0.1, 1.0])
@pytest.mark.parametrize("name", FALLING)
def test_the_factor_after_the_last_one_would_be_the_final_fraction(name: ScheduleName, final: float) -> None:
    config = ScheduleConfig(name=name, warmup_steps=5, final_fraction=final)
    assert learning_rate_factor(config, 1000, 1000) == pytest.approx(final, abs=1e-12)


@pytest.mark.parametrize("name", NAMES)
def test_twice_the_steps_halve_every_jump(name: ScheduleName) -> None:
    """So in the limit the rate is continuous; warm-up grows with the run."""

    def widest(steps: int) -> float:
        found = factors(ScheduleConfig(name=name, warmup_steps=steps // 10, final_fraction=0.2), steps)
        return max(abs(after - before) for before, after in pairwise(found))

    assert widest(2000) == pytest.approx(widest(1000) / 2, rel=0.02)


@pytest.mark.parametrize(
    ("name", "step", "expected"),
    [
        ("constant", 108, 1.0),
        ("linear", 34, 0.2 + 0.8 * 0.75),  # 25 of 100 parts of the way are gone after 10 of warm-up
        ("linear", 59, 0.2 + 0.8 * 0.5),
        ("cosine", 59, 0.2 + 0.8 * 0.5),
        ("cosine", 34, 0.2 + 0.8 * (1 + 0.5**0.5) / 2),  # cos 45°
        ("warmup-stable-decay", 58, 1.0),
        ("warmup-stable-decay", 59, 1.0),
        ("warmup-stable-decay", 84, 0.2 + 0.8 * 0.5),
        ("inverse-square-root", 39, 0.5),  # √(10 / 40)
        ("inverse-square-root", 89, 1 / 3),
    ],
)
def test_hand_computed_factors(name: ScheduleName, step: int, expected: float) -> None:
    config = ScheduleConfig(name=name, warmup_steps=10, decay_fraction=0.5, final_fraction=0.2)
    assert learning_rate_factor(config, step, 109) == pytest.approx(expected, rel=1e-12)


def test_inverse_square_root_without_warm_up_begins_at_the_peak() -> None:
    config = ScheduleConfig(name="inverse-square-root", warmup_steps=0)
    assert factors(config, 9)[::3] == pytest.approx([1.0, 0.5, 7**-0.5])


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"name": "polynomial"}, "'constant', 'linear', 'cosine', 'warmup-stable-decay' or 'inverse-square-root'"),
        ({"final_fraction": 1.5}, "less than or equal to 1"),
        ({"warmup_steps": -1}, "greater than or equal to 0"),
    ],
)
def test_bad_settings_are_refused(settings: dict[str, object], message: str) -> None:
    with pytest.raises(ValidationError, match=message):
        ScheduleConfig.model_validate(settings)
