"""Folders of causal Transformers as other versions of `transformers`, and OpenAI, wrote them."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import save_file
from tests.parity.test_decoders_transformers import LONGROPE, ids, ours, rope, theirs


def older(folder: Path, drop: tuple[str, ...], **settings: Any) -> None:
    """Write the folder's config as transformers 4 did."""
    path = folder / "config.json"
    content = {key: value for key, value in json.loads(path.read_text()).items() if key not in drop}
    path.write_text(json.dumps(content | settings | {"torch_dtype": "float32"}))


@pytest.mark.parametrize("key", ["rope_type", "type"])
@pytest.mark.parametrize("kind", ["llama", "mistral", "qwen2", "qwen3"])
def test_configs_of_transformers_4_are_read_as_transformers_reads_them(kind: str, key: str, tmp_path: Path) -> None:
    case = {"rope_parameters": {"rope_type": "linear", "rope_theta": 77.0, "factor": 2.0}, "num_key_value_heads": 2}
    reference = theirs(kind, case, tmp_path)
    older(tmp_path, ("rope_parameters",), rope_theta=77.0, rope_scaling={key: "linear", "factor": 2.0})
    with torch.no_grad():
        assert (ours(tmp_path)(ids()) - reference(ids()).logits).abs().max() < 1e-4


@pytest.mark.parametrize("name", ["su", "yarn", "longrope"])
def test_older_phi_3_configs_are_read_as_transformers_reads_them(name: str, tmp_path: Path) -> None:
    rope_parameters = LONGROPE | {"partial_rotary_factor": 0.5}
    case = rope(rope_parameters, original_max_position_embeddings=16, hidden_size=64)
    reference = theirs("phi3", case, tmp_path)
    scaling = {"type": name, "short_factor": LONGROPE["short_factor"], "long_factor": LONGROPE["long_factor"]}
    older(tmp_path, ("rope_parameters",), rope_theta=100.0, partial_rotary_factor=0.5, rope_scaling=scaling)
    with torch.no_grad():
        assert (ours(tmp_path)(ids()) - reference(ids()).logits).abs().max() < 1e-4


def test_older_gemma_3_configs_are_read_as_transformers_reads_them(tmp_path: Path) -> None:
    ropes = {
        "full_attention": {"rope_type": "linear", "rope_theta": 900.0, "factor": 2.0},
        "sliding_attention": {"rope_type": "default", "rope_theta": 30.0},
    }
    reference = theirs("gemma3_text", {"rope_parameters": ropes}, tmp_path)
    older(
        tmp_path,
        ("rope_parameters", "layer_types", "_sliding_window_pattern"),
        rope_theta=900.0,
        rope_local_base_freq=30.0,
        rope_scaling={"factor": 2.0, "rope_type": "linear"},
        sliding_window_pattern=2,
    )
    with torch.no_grad():
        assert (ours(tmp_path)(ids()) - reference(ids()).logits).abs().max() < 1e-4


def test_older_gpt_2_files_without_a_prefix_are_read(tmp_path: Path) -> None:
    """As OpenAI's own, which also hold the causal mask of each layer."""
    reference = theirs("gpt2", {}, tmp_path)
    weights = {name.removeprefix("transformer."): each for name, each in reference.state_dict().items()}
    del weights["lm_head.weight"]
    masks = {f"h.{layer}.attn.bias": torch.ones(1, 1, 64, 64).tril() for layer in range(3)}
    save_file(weights | masks, tmp_path / "model.safetensors", metadata={"format": "pt"})
    with torch.no_grad():
        assert (ours(tmp_path)(ids()) - reference(ids()).logits).abs().max() < 1e-4
