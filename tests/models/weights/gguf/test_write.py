"""What is written as GGUF is read back: by the format's own reader, by transformers, and by us."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import gguf
import numpy as np
import pytest
import torch
from torch import nn

from wenlu.bundle import load
from wenlu.errors import ResourceError, WeightsError
from wenlu.models import LanguageModel, family
from wenlu.models.weights.gguf import FileType, load_gguf, write_gguf
from wenlu.tokenizers import Tokenizer, TokenizerConfig, train_tokenizer

LLAMA = family("llama")
ROPES: dict[str, dict[str, Any]] = {
    "default": {"rope_theta": 50000.0},
    "linear": {"rope_type": "linear", "factor": 4.0},
    "llama3": {
        "rope_type": "llama3",
        "rope_theta": 500000.0,
        "factor": 8.0,
        "low_freq_factor": 1.0,
        "high_freq_factor": 4.0,
        "original_max_position_embeddings": 64,
    },
}
ACCURACY: dict[FileType, float] = {"f32": 0.0, "f16": 2.0**-11, "bf16": 2.0**-8}


@pytest.fixture(scope="module")
def tokenizer() -> Tokenizer:
    return train_tokenizer(TokenizerConfig(vocab_size=270, pattern="gpt2"), ["low lower lowest 你好"] * 5)


def tiny(tokenizer: Tokenizer, **settings: Any) -> LanguageModel:
    sizes = {
        "vocab_size": tokenizer.vocab_size + 3,
        "hidden_size": 64,
        "intermediate_size": 96,
        "num_hidden_layers": 2,
        "num_attention_heads": 4,
        "num_key_value_heads": 2,
        "initializer_range": 0.2,
    }
    model = LLAMA.build(LLAMA.config(**{**sizes, **settings}))
    for parameter in model.parameters():
        torch.nn.init.normal_(parameter, std=0.2)
    return model.eval()


@pytest.mark.parametrize("rope", ROPES)
@pytest.mark.parametrize("tied", [True, False], ids=["tied", "untied"])
def test_a_model_in_float32_comes_back_bit_for_bit(rope: str, tied: bool, tokenizer: Tokenizer, tmp_path: Path) -> None:
    settings = {"rope_parameters": ROPES[rope], "tie_word_embeddings": tied, "head_dim": 32}
    model = tiny(tokenizer, **settings, attention_bias=tied, mlp_bias=tied)
    write_gguf(tmp_path / "m.gguf", model, LLAMA, tokenizer, type="f32")
    _, again, _ = load_gguf(tmp_path / "m.gguf")
    kept = {"initializer_range", "bos_token_id", "eos_token_id", "pad_token_id"}
    assert again.config.model_dump(exclude=kept) == model.config.model_dump(exclude=kept)
    assert again.config.eos_token_id == tokenizer.eos_id
    states = model.state_dict(), again.state_dict()
    assert states[0].keys() == states[1].keys()
    assert all(torch.equal(states[0][key], states[1][key]) for key in states[0])


@pytest.mark.parametrize("type", ACCURACY)
def test_matrices_are_rounded_to_their_type_and_vectors_not_at_all(
    type: FileType, tokenizer: Tokenizer, tmp_path: Path
) -> None:
    model = tiny(tokenizer)
    write_gguf(tmp_path / "m.gguf", model, LLAMA, tokenizer, type=type)
    _, again, _ = load_gguf(tmp_path / "m.gguf", dtype=torch.float32)
    for key, value in model.state_dict().items():
        bound = ACCURACY[type] * value.abs() + 1e-7 if value.dim() > 1 else torch.zeros_like(value)
        assert ((again.state_dict()[key] - value).abs() <= bound).all(), key


def test_q8_0_is_within_half_a_step(tokenizer: Tokenizer, tmp_path: Path) -> None:
    model = tiny(tokenizer)
    write_gguf(tmp_path / "m.gguf", model, LLAMA, tokenizer, type="q8_0")
    _, again, _ = load_gguf(tmp_path / "m.gguf")
    for key, value in model.state_dict().items():
        if value.dim() > 1:
            blocks = value.reshape(-1, 32)
            step = blocks.abs().amax(-1, keepdim=True) / 127
            found = again.state_dict()[key].reshape(-1, 32)
            assert ((found - blocks).abs() <= step * 0.5 + 127 * step * 2.0**-11).all(), key  # the scale is a half too


def test_rows_that_fit_no_block_become_f16(tokenizer: Tokenizer, tmp_path: Path) -> None:
    model = tiny(tokenizer, intermediate_size=40)
    write_gguf(tmp_path / "m.gguf", model, LLAMA, tokenizer, type="q8_0")
    types = {t.name: t.tensor_type.name for t in gguf.GGUFReader(tmp_path / "m.gguf").tensors}
    assert types["blk.0.ffn_down.weight"] == "F16"
    assert types["blk.0.ffn_up.weight"] == "Q8_0"
    assert types["blk.0.attn_norm.weight"] == "F32"


def test_the_reader_of_the_format_finds_the_same(tokenizer: Tokenizer, tmp_path: Path) -> None:
    model = tiny(tokenizer)
    write_gguf(tmp_path / "m.gguf", model, LLAMA, tokenizer, type="f32", chat_template="{{ messages }}")
    reader = gguf.GGUFReader(tmp_path / "m.gguf")
    told = {key: field.contents() for key, field in reader.fields.items()}
    assert told["general.architecture"] == "llama"
    assert told["llama.attention.head_count_kv"] == 2
    assert told["llama.rope.dimension_count"] == 16
    assert told["tokenizer.chat_template"] == "{{ messages }}"
    assert len(told["tokenizer.ggml.tokens"]) == tokenizer.vocab_size + 3
    assert told["tokenizer.ggml.token_type"][-3:] == [5, 5, 5]
    found = {tensor.name: tensor.data for tensor in reader.tensors}
    np.testing.assert_array_equal(found["blk.1.ffn_up.weight"], model.state_dict()["layers.1.mlp.up_proj.weight"])


@pytest.mark.parametrize("tied", [True, False], ids=["tied", "untied"])
def test_transformers_computes_the_same_from_the_file(
    tied: bool, tokenizer: Tokenizer, oracle: Callable[[Path], nn.Module], tmp_path: Path
) -> None:
    model = tiny(tokenizer, tie_word_embeddings=tied, rope_parameters=ROPES["default"])
    write_gguf(tmp_path / "m.gguf", model, LLAMA, tokenizer, type="f32")
    theirs = oracle(tmp_path / "m.gguf")
    ids = torch.arange(11).reshape(1, 11)
    with torch.no_grad():
        torch.testing.assert_close(model(ids), theirs(ids).logits, atol=1e-5, rtol=1e-5)


def test_a_bundle_of_a_file_has_its_tokenizer_and_template(tokenizer: Tokenizer, tmp_path: Path) -> None:
    write_gguf(tmp_path / "m.gguf", tiny(tokenizer), LLAMA, tokenizer, chat_template="{{ messages }}")
    for path in (tmp_path / "m.gguf", tmp_path, str(tmp_path / "m.gguf")):
        bundle = load(path)
        assert bundle.path == tmp_path / "m.gguf"
        assert bundle.tokenizer.encode("lowest 你好!") == tokenizer.encode("lowest 你好!")
        assert bundle.tokenizer.settings.template == "{{ messages }}"
        assert {weight.dtype for weight in bundle.model.parameters()} == {torch.float16}
    assert bundle.model(torch.tensor([[1, 2]])).isfinite().all(), "norms, stored in float32, fit the matrices"
    assert next(load(tmp_path, dtype=torch.bfloat16).model.parameters()).dtype == torch.bfloat16


def test_a_file_is_whole_or_as_it_was(tokenizer: Tokenizer, tmp_path: Path) -> None:
    (tmp_path / "m.gguf").write_text("before")
    with pytest.raises(ResourceError, match=r"none/m\.gguf: could not be written"):
        write_gguf(tmp_path / "none" / "m.gguf", tiny(tokenizer), LLAMA, tokenizer)
    for kind, name in {"char": "WordLevel", "unigram": "Unigram"}.items():
        config = TokenizerConfig.model_validate({"kind": kind, "vocab_size": "auto" if kind == "char" else 360})
        other = train_tokenizer(config, ["the cat, the mat"] * 3)
        with pytest.raises(WeightsError, match=f"a {name} tokenizer has no form in GGUF that Wenlu writes"):
            write_gguf(tmp_path / "m.gguf", tiny(other), LLAMA, other)
    assert [path.name for path in tmp_path.iterdir()] == ["m.gguf"]
    assert (tmp_path / "m.gguf").read_text() == "before"


def test_a_family_without_a_row_is_refused_with_those_that_have_one(tokenizer: Tokenizer, tmp_path: Path) -> None:
    lstm = family("lstm")
    model = lstm.build(lstm.config(vocab_size=300, hidden_size=8))
    with pytest.raises(
        WeightsError, match="a model of family lstm has no form in GGUF; families that have one: llama, mistral, "
    ):
        write_gguf(tmp_path / "m.gguf", model, lstm, tokenizer)
