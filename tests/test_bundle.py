"""Loading a bundle: from a run, from a folder, and from what is neither."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
import torch

import wenlu
from wenlu.bundle import Bundle, load
from wenlu.errors import WeightsError
from wenlu.models import family
from wenlu.models.weights import save_model
from wenlu.tokenizers import Tokenizer, TokenizerConfig, train_tokenizer

LSTM = family("lstm")


@pytest.fixture
def tokenizer() -> Tokenizer:
    return train_tokenizer(TokenizerConfig(kind="char", vocab_size=12), ["abc def", "你好"] * 5)


def write(folder: Path, tokenizer: Tokenizer, vocab_size: int | None = None) -> None:
    folder.mkdir(parents=True)
    config = LSTM.config(vocab_size=vocab_size or tokenizer.vocab_size, hidden_size=8)
    save_model(folder, LSTM.build(config), LSTM)
    tokenizer.save(folder)


def test_a_run_and_its_model_folder_load_alike(tmp_path: Path, tokenizer: Tokenizer) -> None:
    write(tmp_path / "run" / "model", tokenizer)
    for path in (tmp_path / "run", tmp_path / "run" / "model", str(tmp_path / "run")):
        bundle = load(path)
        assert isinstance(bundle, Bundle)
        assert bundle.path == tmp_path / "run" / "model"
        assert bundle.config == bundle.model.config
        assert bundle.tokenizer.decode(bundle.tokenizer.encode("abc 你好")) == "abc 你好"
        assert bundle.model(torch.tensor([bundle.tokenizer.encode("abc")])).shape[-1] == bundle.config.vocab_size
        assert bundle.task.name == "causal-lm"


def test_load_is_a_verb_of_the_package() -> None:
    assert wenlu.load is load


def test_weights_are_converted_on_demand(tmp_path: Path, tokenizer: Tokenizer) -> None:
    write(tmp_path / "m", tokenizer)
    assert next(load(tmp_path / "m", dtype=torch.bfloat16).model.parameters()).dtype == torch.bfloat16


def test_a_tokenizer_too_large_for_the_model_is_refused(tmp_path: Path, tokenizer: Tokenizer) -> None:
    write(tmp_path / "m", tokenizer, vocab_size=5)
    message = f"the tokenizer has {tokenizer.vocab_size} tokens, but the model only 5; are both of the same run?"
    with pytest.raises(WeightsError, match=re.escape(message)):
        load(tmp_path / "m")


def test_what_is_no_model_is_named(tmp_path: Path) -> None:
    def refused(path: Path, message: str) -> None:
        with pytest.raises(WeightsError, match=re.escape(message)):
            load(path)

    refused(tmp_path, "an empty folder; give a run directory or a folder with config.json and *.safetensors")
    (tmp_path / "notes.txt").write_text("abc")
    refused(tmp_path, "no model here, only notes.txt")
    refused(tmp_path / "notes.txt", "a file of 3 bytes, not a model folder")
    refused(tmp_path / "nowhere", "nowhere: no such folder")
    (tmp_path / "events.jsonl").write_text("")
    refused(tmp_path, "a run that has no model/ yet; let it finish, or resume it")
