"""Llama's settings: checks across fields, older spellings, defaults that follow other fields."""

from __future__ import annotations

import re
from typing import Any

import pytest

from wenlu.config import check
from wenlu.errors import ConfigError
from wenlu.models.llama import LlamaConfig

BASE: dict[str, Any] = {
    "vocab_size": 9,
    "hidden_size": 24,
    "intermediate_size": 8,
    "num_hidden_layers": 1,
    "num_attention_heads": 6,
}


def config(**changes: Any) -> LlamaConfig:
    return check(LlamaConfig, {**BASE, **changes}, where="here")


def refused(message: str, **changes: Any) -> None:
    with pytest.raises(ConfigError, match=re.escape(message)):
        config(**changes)


def test_heads_follow_from_the_sizes_that_are_given() -> None:
    assert (config().num_key_value_heads, config().head_dim) == (6, 4)
    assert (config(num_key_value_heads=None, head_dim=None).num_key_value_heads, config().head_dim) == (6, 4)
    assert (config(num_key_value_heads=2, head_dim=10).num_key_value_heads, config(head_dim=10).head_dim) == (2, 10)


def test_sizes_that_do_not_fit_together_are_named() -> None:
    refused("hidden_size 25 is not a multiple of num_attention_heads 6", hidden_size=25)
    refused("num_attention_heads 6 is not a multiple of num_key_value_heads 4", num_key_value_heads=4)
    refused("3 numbers of head_dim 3 are turned; rotary positions turn pairs", hidden_size=18)


def test_one_wrong_size_is_one_line() -> None:
    with pytest.raises(ConfigError) as caught:
        config(hidden_size=0)
    assert str(caught.value).splitlines() == [
        "here:",
        "  hidden_size: input should be greater than or equal to 1, not 0",
    ]


def test_a_frequency_may_stand_beside_or_inside_the_rope_settings() -> None:
    inside = config(rope_parameters={"rope_type": "default", "rope_theta": 5.0})
    assert config(rope_theta=5.0) == inside
    assert config(rope_theta=5.0, rope_parameters={"rope_theta": 5.0}) == inside
    assert config(rope_theta=5.0, rope_scaling=None) == inside
    refused(
        "rope_theta 7.0 contradicts rope_parameters.rope_theta 5.0", rope_theta=7.0, rope_parameters={"rope_theta": 5.0}
    )


def test_a_scaling_asks_for_what_it_needs_and_refuses_what_it_does_not_use() -> None:
    refused("rope_type 'linear' needs factor", rope_scaling={"rope_type": "linear"})
    refused("rope_type 'default' does not use factor", rope_parameters={"factor": 2.0})
    refused(
        "rope_type 'llama3' needs high_freq_factor, low_freq_factor, original_max_position_embeddings",
        rope_scaling={"type": "llama3", "factor": 2.0},
    )
    refused(
        "low_freq_factor 4.0 must be below high_freq_factor 1.0",
        rope_scaling={
            "rope_type": "llama3",
            "factor": 2.0,
            "low_freq_factor": 4.0,
            "high_freq_factor": 1.0,
            "original_max_position_embeddings": 8,
        },
    )


def test_an_unknown_scaling_is_refused() -> None:
    refused("'default', 'linear', 'dynamic', 'yarn', 'longrope' or 'llama3'", rope_scaling={"rope_type": "mrope"})


def test_something_else_than_a_table_of_rope_settings_is_refused() -> None:
    refused("rope_scaling 'linear' and rope_parameters {} must be tables", rope_scaling="linear")
    refused("rope_parameters", rope_parameters=[1])
    refused("rope_parameters", rope_parameters=[1], rope_theta=2.0)


def test_a_config_reads_back_what_it_writes() -> None:
    written = config(rope_theta=5.0, eos_token_id=[1, 2]).model_dump(mode="json", exclude_none=True)
    assert LlamaConfig.model_validate(written).model_dump(mode="json", exclude_none=True) == written
