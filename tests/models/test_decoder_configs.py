"""Settings of the decoders beside Llama: what is read, what is refused, what is written."""

from __future__ import annotations

import re
from typing import Any

import pytest

from wenlu.config import check
from wenlu.errors import ConfigError
from wenlu.models import family
from wenlu.models.family import ModelConfig

SIZES: dict[str, Any] = {
    "vocab_size": 9,
    "hidden_size": 24,
    "intermediate_size": 8,
    "num_hidden_layers": 4,
    "num_attention_heads": 6,
}


def config(name: str, **changes: Any) -> ModelConfig:
    return check(family(name).config, {**SIZES, **changes}, where="here")


def refused(name: str, message: str, **changes: Any) -> None:
    with pytest.raises(ConfigError, match=re.escape(message)):
        config(name, **changes)


def test_gpt_2_is_read_and_written_under_its_own_names() -> None:
    row = family("gpt2")
    written = {"vocab_size": 9, "n_embd": 24, "n_layer": 2, "n_head": 6, "n_inner": None, "n_positions": 30}
    found = check(row.config, written, where="here")
    assert found == check(
        row.config, {**SIZES, "intermediate_size": 96, "num_hidden_layers": 2, "max_position_embeddings": 30}, where=""
    )
    names = found.model_dump(by_alias=True)
    assert {"n_embd", "n_layer", "n_head", "n_inner", "n_positions", "activation_function"} < names.keys()


def test_what_would_change_the_computation_is_refused() -> None:
    refused("gpt2", "add_cross_attention: input should be False, not True", add_cross_attention=True)
    refused("gemma3", "use_bidirectional_attention: input should be False, not True", use_bidirectional_attention=True)
    refused("llama", "sliding_window: unknown key", sliding_window=4)
    refused("llama", "rope_parameters.partial_rotary_factor: unknown key", partial_rotary_factor=0.5)


def test_upper_layers_slide_only_where_the_window_is_in_use() -> None:
    def windows(**changes: Any) -> list[int | None]:
        return [view.window for view in config("qwen2", max_window_layers=1, sliding_window=3, **changes).views()]

    assert windows() == [None] * 4
    assert windows(use_sliding_window=True) == [None, 3, 3, 3]
    layer_types = ["sliding_attention", "full_attention"] * 2
    assert windows(use_sliding_window=True, layer_types=layer_types) == [3, None, 3, None]
    refused("qwen3", "layer_types has sliding_attention, but no sliding_window is in use", layer_types=layer_types)
    refused("gemma3", "layer_types names 1 layers, and num_hidden_layers is 4", layer_types=["full_attention"])


def test_each_sixth_layer_of_gemma_3_is_global_unless_said_otherwise() -> None:
    views = config("gemma3", num_hidden_layers=7).views()
    assert [view.window for view in views] == [4096] * 5 + [None, 4096]
    assert [view.rope.rope_theta for view in views[4:6]] == [1e4, 1e6]
    for name in ("sliding_window_pattern", "_sliding_window_pattern"):
        assert [view.window for view in config("gemma3", **{name: 2}).views()] == [4096, None] * 2


def test_longrope_asks_for_a_factor_a_pair() -> None:
    rope = {"rope_type": "su", "short_factor": [1.0, 2.0], "long_factor": [1.0, 2.0, 3.0]}
    refused("phi3", "long_factor has 3 numbers, and 2 pairs of each head are turned", rope_scaling=rope)
    refused("phi3", "rope_type 'longrope' needs long_factor, short_factor", rope_scaling={"type": "su"})


def test_longrope_begins_at_the_length_that_stands_beside_it() -> None:
    rope = {"rope_type": "longrope", "short_factor": [1.0, 2.0], "long_factor": [1.0, 2.0]}
    found = config("phi3", rope_scaling=rope, original_max_position_embeddings=77)
    assert found.rope_parameters.original_max_position_embeddings == 77
    assert check(family("phi3").config, found.model_dump(), where="") == found


@pytest.mark.parametrize("name", ["mistral", "qwen2", "qwen3", "gemma3", "phi3", "gpt2"])
def test_a_config_reads_back_what_it_writes(name: str) -> None:
    first = config(name)
    assert type(first).model_validate(first.model_dump(mode="json", by_alias=True)) == first
