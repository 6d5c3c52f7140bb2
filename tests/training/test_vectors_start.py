"""An embedding that starts from word vectors, in every family that can be trained here."""

from __future__ import annotations

import json
import re
from pathlib import Path

import numpy as np
import pytest
import torch

import wenlu
from wenlu.errors import ConfigError, DataError, UsageError
from wenlu.models import Family, LanguageModel, family
from wenlu.models.vectors import WordVectors, save_text, save_vectors
from wenlu.tokenizers import Tokenizer, TokenizerConfig, train_tokenizer
from wenlu.training import TrainConfig, check_vectors_start, start_from_vectors

TEXTS = ["The cat sat on the mat. the dog ate the fish\n", "a cat and a dog\n"] * 8


def drawn(words: tuple[str, ...], dimensions: int = 16) -> WordVectors:
    matrix = np.random.default_rng(0).normal(2, 3, size=(len(words), dimensions)).astype(np.float32)
    return WordVectors(words, matrix)


def build(row: Family, vocab_size: int) -> LanguageModel:
    sizes = {"hidden_size": 16, "num_hidden_layers": 1, "num_attention_heads": 2, "intermediate_size": 16}
    known = row.config.model_fields.keys()
    kept = {key: size for key, size in sizes.items() if key in known}
    return row.build(row.config(vocab_size=vocab_size, **kept), dtype=torch.float32, zero_outputs=True)


@pytest.mark.parametrize("name", ["llama", "gpt2", "lstm", "gemma3"])
def test_tokens_that_are_words_get_their_vector_and_others_stay(name: str) -> None:
    tokenizer = train_tokenizer(TokenizerConfig(kind="bpe", vocab_size=283, min_frequency=1), TEXTS)
    model = build(family(name), tokenizer.vocab_size)
    embedding = model.get_parameter("embed_tokens.weight")
    before = embedding.detach().clone()
    vectors = drawn(("the", "cat", "dog", "unicorn"), embedding.shape[1])
    count = start_from_vectors(model, tokenizer, vectors, name="a.vec")
    words = [tokenizer.decode([i]).strip() for i in range(tokenizer.vocab_size)]
    matched = [i for i, word in enumerate(words) if word.lower() in ("the", "cat", "dog")]
    assert count == len(matched) >= 3
    others = [i for i in range(tokenizer.vocab_size) if i not in matched]
    assert torch.equal(embedding[others], before[others])
    assert not torch.equal(embedding[matched], before[matched])
    for i in matched:
        given = torch.from_numpy(vectors.vector(words[i].lower()))
        cosine = torch.nn.functional.cosine_similarity(embedding[i].detach(), given, dim=0)
        assert cosine.item() == pytest.approx(1.0, abs=1e-5)
    assert embedding[matched].std(correction=0).item() == pytest.approx(before.std(correction=0).item(), rel=1e-4)


def test_a_token_prefers_the_word_as_it_is_written(tokenizer: Tokenizer) -> None:
    model = build(family("llama"), tokenizer.vocab_size)
    vectors = drawn(("t", "T", "c"))
    assert start_from_vectors(model, tokenizer, vectors, name="a.vec") == 2
    row = model.get_parameter("embed_tokens.weight")[tokenizer.encode("t")[0]]
    cosine = torch.nn.functional.cosine_similarity(row, torch.from_numpy(vectors.matrix[0]), dim=0)
    assert cosine.item() == pytest.approx(1.0, abs=1e-5)


def test_other_widths_and_other_words_are_refused(tokenizer: Tokenizer) -> None:
    model = build(family("llama"), tokenizer.vocab_size)
    message = (
        "runs/v has 5 dimensions, the embedding 16; set the model's size to 5, or train vectors with vectors.size=16"
    )
    with pytest.raises(UsageError, match=re.escape(message)):
        check_vectors_start(model, drawn(("the",), 5), name="runs/v")
    with pytest.raises(DataError, match="is among the 1 words of runs/v; are both of one language"):
        start_from_vectors(model, tokenizer, drawn(("国王",)), name="runs/v")


@pytest.mark.parametrize("settings", [{"start": "vectors"}, {"vectors": "a.vec"}])
def test_start_and_path_belong_together(settings: dict[str, str]) -> None:
    with pytest.raises(ValueError, match='start="vectors" and vectors="PATH" belong together'):
        TrainConfig.model_validate(settings)


def pretrain(out: Path, vectors: Path) -> None:
    fast = ["train.duration=2 steps", "train.allocator=as-is", "check=false", "train.threads=1", "train.dtype=float32"]
    start = ["data.train={path = 'stdlib', limit = 20}", "train.start=vectors", f"train.vectors={vectors}"]
    wenlu.pretrain(Path("recipes/tiny.toml"), out, [*fast, *start])


def test_a_recipe_starts_from_vectors_and_says_how_many_tokens_have_one(tmp_path: Path) -> None:
    vectors = drawn(("def", "self", "return", "import"), 32)
    (tmp_path / "v").mkdir()
    save_vectors(tmp_path / "v", vectors)
    pretrain(tmp_path / "run", tmp_path / "v")
    events = [json.loads(line) for line in (tmp_path / "run/events.jsonl").read_text().splitlines()]
    (matched,) = [event["value"] for event in events if event["name"] == "tokens_with_vectors"]
    assert 1 <= matched <= 8
    weights = (tmp_path / "run/model/model.safetensors").read_bytes()
    pretrain(tmp_path / "run", tmp_path / "v")
    assert (tmp_path / "run/model/model.safetensors").read_bytes() == weights
    save_vectors(tmp_path / "v", drawn(("def", "self", "return", "import", "class"), 32))
    pretrain(tmp_path / "run", tmp_path / "v")
    assert (tmp_path / "run/model/model.safetensors").read_bytes() != weights
    save_text(drawn(("def",), 8), tmp_path / "narrow.vec")
    with pytest.raises(UsageError, match="has 8 dimensions, the embedding 32"):
        pretrain(tmp_path / "other", tmp_path / "narrow.vec")
    with pytest.raises(ConfigError, match="a language model; give word vectors"):
        pretrain(tmp_path / "other", tmp_path / "run")
