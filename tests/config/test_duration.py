from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from wenlu.config import Config, Duration, DurationField, parse_duration


class Settings(Config):
    duration: DurationField


@pytest.mark.parametrize(
    ("text", "amount", "unit"),
    [
        ("10M tokens", 1e7, "tokens"),
        ("1.5B tokens", 1.5e9, "tokens"),
        ("3 epochs", 3, "epochs"),
        ("1 epoch", 1, "epochs"),
        ("2000 steps", 2000, "steps"),
        ("20k steps", 20_000, "steps"),
        ("20 minutes", 1200, "seconds"),
        ("1 hour", 3600, "seconds"),
        ("90 seconds", 90, "seconds"),
        ("1e3 steps", 1000, "steps"),
    ],
)
def test_durations_read_as_people_write_them(text: str, amount: float, unit: str) -> None:
    assert parse_duration(text) == Duration(amount, unit)  # type: ignore[arg-type]


@pytest.mark.parametrize("text", ["", "20", "minutes", "-3 steps", "3 lightyears", "3 M", "ten steps"])
def test_what_is_no_duration_is_refused_with_examples(text: str) -> None:
    with pytest.raises(ValueError, match="is not a duration; write for example '10M tokens', '3 epochs'"):
        parse_duration(text)


def test_a_duration_of_nothing_is_refused() -> None:
    with pytest.raises(ValueError, match="must be greater than 0"):
        parse_duration("0 steps")


@given(st.floats(min_value=1e-3, max_value=1e15), st.sampled_from(["tokens", "epochs", "steps", "seconds"]))
def test_a_duration_survives_its_text(amount: float, unit: str) -> None:
    duration = Duration(amount, unit)  # type: ignore[arg-type]
    again = Settings.model_validate(Settings(duration=duration).model_dump(mode="json")).duration
    assert again.unit == unit
    assert again.amount == pytest.approx(amount, rel=1e-5)


def test_a_whole_number_of_steps_survives_exactly() -> None:
    assert parse_duration(str(Duration(1_234_567, "steps"))).amount == 1_234_567
