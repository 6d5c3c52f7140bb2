"""Settings of `[generate]` that contradict each other are refused with the way out."""

from __future__ import annotations

import pytest

from wenlu.config import check
from wenlu.errors import ConfigError
from wenlu.generation.settings import Sampling, SamplingConfig


@pytest.mark.parametrize(
    ("given", "message"),
    [
        (
            {"num_beams": 4, "temperature": 0.7},
            "num_beams=4 searches .* temperature=0.7 shapes a drawn one; remove one",
        ),
        ({"num_beams": 4, "top_k": 9}, "top_k=9 shapes a drawn one"),
        ({"num_beams": 4, "top_p": 0.5}, "top_p=0.5 shapes"),
        ({"num_beams": 4, "min_p": 0.1}, "min_p=0.1 shapes"),
        ({"num_beams": 2, "n": 3}, "n=3 answers need as many beams, not num_beams=2"),
        ({"num_beams": 2, "stop": "x"}, "stop strings do not end beams; remove stop or set num_beams=1"),
        ({"n": 3}, "n=3 answers would all be equal at temperature 0; set temperature > 0 or num_beams >= n"),
        ({"length_penalty": 2.0}, "length_penalty=2 ranks beams; set num_beams > 1"),
        ({"stop": ["a", ""]}, "an empty string would end every answer"),
        ({"temperature": -1}, "temperature: input should be greater than or equal to 0, not -1"),
        ({"top_p": 0}, "top_p: input should be greater than 0, not 0"),
        ({"top_p": 1.1}, "top_p: .*less than or equal to 1"),
        ({"presence_penalty": 2.5}, "presence_penalty: .*less than or equal to 2"),
        ({"seed": -1}, "seed: .*greater than or equal to 0"),
        ({"seed": 2**64}, "seed: .*less than 18446744073709551616"),
        ({"cache": "int8", "num_beams": 2}, "cache='int8' is not for beams; set num_beams=1, not 2"),
        ({"max_new_tokens": 0}, "max_new_tokens: .*greater than 0"),
        ({"temperatures": 1}, "temperatures: unknown key; did you mean temperature?"),
        ({"temperature": float("nan")}, "temperature: "),
    ],
    ids=str,
)
def test_settings_that_cannot_be_meant_are_refused(given: dict[str, object], message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        check(SamplingConfig, given, where="generate")


def test_cuts_at_temperature_0_are_harmless() -> None:
    assert SamplingConfig(top_p=0.9, top_k=40).temperature == 0


def test_a_single_stop_string_needs_no_brackets() -> None:
    assert SamplingConfig.model_validate({"stop": "\n\n"}).stop == ("\n\n",)


def test_the_rules_are_what_decides_a_token() -> None:
    config = SamplingConfig(temperature=0.5, top_k=3, stop=("x",), seed=9, n=2)
    assert config.rules() == Sampling(temperature=0.5, top_k=3)
    assert type(config.rules()) is Sampling
