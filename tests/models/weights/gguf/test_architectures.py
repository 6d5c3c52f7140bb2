"""Each architecture of GGUF means to us what it means to transformers, and what we write is what we read."""

from __future__ import annotations

import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import nn

from wenlu.errors import WeightsError
from wenlu.models import FAMILIES, LanguageModel, family
from wenlu.models.weights.gguf import load_gguf, write_gguf
from wenlu.models.weights.gguf.architecture import Architecture
from wenlu.models.weights.gguf.architectures import ARCHITECTURES
from wenlu.tokenizers import Tokenizer, TokenizerConfig, train_tokenizer

LENGTH = 21
GROUPED: dict[str, Any] = {
    "hidden_size": 32,
    "intermediate_size": 48,
    "num_hidden_layers": 2,
    "num_attention_heads": 4,
    "num_key_value_heads": 2,
    "max_position_embeddings": 64,
    "rope_parameters": {"rope_theta": 5000.0},
}
YARN = {"rope_type": "yarn", "factor": 4.0, "original_max_position_embeddings": 16, "rope_theta": 5000.0}
LONGROPE = {
    "rope_type": "longrope",
    "partial_rotary_factor": 0.5,
    "short_factor": (1.0, 1.5),
    "long_factor": (2.0, 3.5),
}
GEMMA3: dict[str, Any] = {
    **GROUPED,
    "num_hidden_layers": 7,
    "head_dim": 256,
    "query_pre_attn_scalar": 256,
    "sliding_window": 8,
    "rope_parameters": {"full_attention": {"rope_theta": 70000.0}, "sliding_attention": {"rope_theta": 10000.0}},
}
GPT2 = {"hidden_size": 32, "num_hidden_layers": 2, "num_attention_heads": 4, "max_position_embeddings": 1024}
CASES: dict[str, tuple[str, dict[str, Any]]] = {
    "mistral": ("mistral", {**GROUPED, "sliding_window": None}),
    "qwen2": ("qwen2", GROUPED),
    "qwen2 tied": ("qwen2", {**GROUPED, "tie_word_embeddings": True}),
    "qwen2 yarn": ("qwen2", {**GROUPED, "rope_parameters": YARN}),
    "qwen3": ("qwen3", {**GROUPED, "head_dim": 128}),
    "qwen3 biases": ("qwen3", {**GROUPED, "head_dim": 16, "attention_bias": True}),
    "phi3": ("phi3", GROUPED),
    "phi3 part": ("phi3", {**GROUPED, "rope_parameters": {"partial_rotary_factor": 0.5}}),
    "phi3 longrope": (
        "phi3",
        {**GROUPED, "rope_parameters": LONGROPE, "original_max_position_embeddings": 16, "sliding_window": 12},
    ),
    "gemma3": ("gemma3", GEMMA3),
    "gpt2": ("gpt2", GPT2),
    "gpt2 untied": ("gpt2", {**GPT2, "tie_word_embeddings": False}),
}
READ_BY_TRANSFORMERS = ("mistral", "qwen2", "qwen2 tied", "qwen3", "phi3", "gemma3", "gpt2")
"""It reads no YaRN, no biases of Qwen 3, no part of a head and no LongRoPE out of GGUF, and heads of Qwen 3 and
Gemma 3 only at their default size."""
OUR_OWN = {"initializer_range", "bos_token_id", "eos_token_id", "pad_token_id"}


@pytest.fixture(scope="module")
def tokenizer() -> Tokenizer:
    return train_tokenizer(TokenizerConfig(vocab_size=262, pattern="gpt2"), ["low lower lowest"] * 5)


def built(name: str, tokenizer: Tokenizer, **changes: Any) -> LanguageModel:
    kind, settings = CASES[name]
    row = family(kind)
    model = row.build(row.config(**{"vocab_size": tokenizer.vocab_size, **settings, **changes}))
    for parameter in model.parameters():
        nn.init.normal_(parameter, std=0.2)
    return model.eval()


def test_each_row_belongs_to_a_family() -> None:
    assert {row.family for row in ARCHITECTURES} <= {row.name for row in FAMILIES}


@pytest.mark.parametrize("name", CASES)
def test_a_model_comes_back_with_its_settings_and_weights(name: str, tokenizer: Tokenizer, tmp_path: Path) -> None:
    model = built(name, tokenizer)
    write_gguf(tmp_path / "m.gguf", model, family(CASES[name][0]), tokenizer, type="f32")
    row, again, _ = load_gguf(tmp_path / "m.gguf")
    ids = torch.arange(LENGTH).reshape(1, LENGTH)
    with torch.no_grad():
        torch.testing.assert_close(again(ids), model(ids), atol=1e-6, rtol=1e-6)
    if name == "mistral":
        assert row.name == "llama"
        return
    for key, value in model.state_dict().items():
        torch.testing.assert_close(again.state_dict()[key], value, atol=1e-7, rtol=0)  # Gemma's scales: one added
    differing = {
        key
        for key, value in model.config.model_dump(exclude=OUR_OWN).items()
        if again.config.model_dump()[key] != value
    }
    # What LongRoPE and YaRN leave to a formula is written out.
    assert differing <= ({"rope_parameters"} if name in ("phi3 longrope", "qwen2 yarn") else set())


@pytest.mark.parametrize("name", READ_BY_TRANSFORMERS)
def test_transformers_computes_the_same(
    name: str, tokenizer: Tokenizer, oracle: Callable[[Path], nn.Module], tmp_path: Path
) -> None:
    model = built(name, tokenizer)
    write_gguf(tmp_path / "m.gguf", model, family(CASES[name][0]), tokenizer, type="f32")
    ids = torch.arange(LENGTH).reshape(1, LENGTH)
    with torch.no_grad():
        torch.testing.assert_close(oracle(tmp_path / "m.gguf")(ids).logits, model(ids), atol=1e-4, rtol=1e-4)


@pytest.mark.parametrize(
    ("name", "changes", "message"),
    [
        ("mistral", {"sliding_window": 8}, "sliding_window 8 is below the context of 64"),
        ("qwen2", {"hidden_act": "relu2"}, "hidden_act is 'relu2': GGUF has no place for it and means 'silu'"),
        (
            "qwen2",
            {"rope_parameters": {"rope_type": "dynamic", "factor": 2.0}},
            "rope_type 'dynamic' has no form in GGUF",
        ),
        ("gemma3", {"query_pre_attn_scalar": 5}, "query_pre_attn_scalar is 5: GGUF has no place for it and means 256"),
        ("gemma3", {"attn_logit_softcapping": 5.0}, "attn_logit_softcapping is 5.0: GGUF has no place for it"),
        ("gpt2", {"scale_attn_weights": False}, "scale_attn_weights is False: GGUF has no place for it and means True"),
    ],
)
def test_what_gguf_cannot_say_is_not_written(
    name: str, changes: dict[str, Any], message: str, tokenizer: Tokenizer, tmp_path: Path
) -> None:
    with pytest.raises(WeightsError, match=re.escape(message)):
        write_gguf(tmp_path / "m.gguf", built(name, tokenizer, **changes), family(CASES[name][0]), tokenizer)
    assert not list(tmp_path.iterdir())


def test_keys_and_tensors_without_a_meaning_are_refused(
    tokenizer: Tokenizer, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    row = next(row for row in ARCHITECTURES if row.name == "qwen2")
    model, path = built("qwen2", tokenizer), tmp_path / "m.gguf"

    def refused(keys: dict[str, Any], message: str) -> None:
        lying = Architecture(**{**vars(row), "write": lambda config: ({**row.write(config)[0], **keys}, {})})
        monkeypatch.setattr("wenlu.models.weights.gguf.write.ARCHITECTURES", (lying,))
        write_gguf(path, model, family("qwen2"), tokenizer)
        with pytest.raises(WeightsError, match=re.escape(f"{path}: {message}")):
            load_gguf(path)

    refused({"expert_count": 4}, "qwen2.expert_count = 4: 1 keys without a meaning for family qwen2")
    refused({"rope.scaling.type": "longrope"}, "qwen2.rope.scaling.type is 'longrope': known: none, linear, yarn")
    refused({"rope.dimension_count": 4}, "qwen2.rope.dimension_count is 4: only whole heads, of 8, are turned")
    refused({"rope.freq_base": -1.0}, "qwen2.rope.freq_base is -1.0: a number above 0 is expected")
    refused({"attention.value_length": 16}, "qwen2.attention.value_length is 16: differs from the key's length, 8")
    refused({"attention.key_length": "a"}, "qwen2.attention.key_length is 'a': a number above 0 is expected")
    refused({"block_count": 3}, "checkpoint does not fit qwen2: 12 missing")
    refused({"block_count": 1}, "checkpoint does not fit qwen2: 12 unexpected")
    refused({"feed_forward_length": [48, 49]}, "qwen2.feed_forward_length is [48, 49]: it differs between layers")
    refused({"feed_forward_length": 40}, "layers.0.mlp.gate_proj.weight has shape [48, 32], but its metadata asks for")


def test_another_architecture_is_named(tokenizer: Tokenizer, tmp_path: Path) -> None:
    path = tmp_path / "m.gguf"
    write_gguf(path, built("qwen2", tokenizer), family("qwen2"), tokenizer)
    path.write_bytes(path.read_bytes().replace(b"qwen2", b"qwen9"))
    with pytest.raises(WeightsError, match=re.escape("general.architecture 'qwen9' is none that Wenlu reads; did you")):
        load_gguf(path)
    path.write_bytes(path.read_bytes().replace(b"\x05\0\0\0\0\0\0\0model", b"\x05\0\0\0\0\0\0\0adapt"))
    with pytest.raises(WeightsError, match=re.escape("holds a 'adapt', not a model (general.type); give the model's")):
        load_gguf(path)
