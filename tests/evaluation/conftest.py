"""Tiny models of both kinds: one that reads a window, one that carries a state."""

import json
from collections.abc import Callable
from pathlib import Path

import pytest
import torch

from wenlu.corpus.prepare import DataConfig, prepare, read_split
from wenlu.corpus.shard_writer import write_tokens
from wenlu.models import LanguageModel, gru, llama
from wenlu.models.weights import save_model
from wenlu.tokenizers import Tokenizer, TokenizerConfig, train_tokenizer

VOCAB = 23
VALIDATION = ["a dog ran away under the tree, and a hen after it.\n", "two fish: one in the sea, one on the mat!\n"]


@pytest.fixture
def tiny_llama() -> LanguageModel:
    torch.manual_seed(0)
    config = llama.LlamaConfig(
        vocab_size=VOCAB,
        hidden_size=16,
        intermediate_size=24,
        num_hidden_layers=2,
        num_attention_heads=2,
        max_position_embeddings=64,
        initializer_range=0.6,
    )
    return llama.FAMILY.build(config)


@pytest.fixture
def tiny_gru() -> LanguageModel:
    torch.manual_seed(0)
    config = gru.FAMILY.config(vocab_size=VOCAB, hidden_size=16, num_hidden_layers=2, initializer_range=0.6)
    return gru.FAMILY.build(config)


@pytest.fixture
def full_costs() -> Callable[[LanguageModel, list[int], int], list[float]]:
    """What a document costs in one forward pass over all of it: the reference."""

    def costs(model: LanguageModel, document: list[int], eot: int) -> list[float]:
        symbols = torch.tensor([[eot, *document, eot]])
        with torch.no_grad():
            logp = model(symbols[:, :-1]).double().log_softmax(dim=-1)
        return (-logp[0].gather(1, symbols[0, 1:, None])[:, 0]).tolist()

    return costs


@pytest.fixture(scope="session")
def tokenizer() -> Tokenizer:
    return train_tokenizer(TokenizerConfig(vocab_size=290, min_frequency=1), training_texts())


@pytest.fixture(scope="session")
def other_tokenizer() -> Tokenizer:
    return train_tokenizer(TokenizerConfig(vocab_size=270, min_frequency=1), ["something else altogether"] * 3)


@pytest.fixture(scope="session")
def run_directory(tmp_path_factory: pytest.TempPathFactory, tokenizer: Tokenizer) -> Path:
    """What `wenlu run` leaves, with a model of random weights."""
    folder = tmp_path_factory.mktemp("evaluated") / "run"
    sources = folder.parent / "sources"
    for split, texts in (("train", training_texts()), ("validation", VALIDATION), ("test", held_out_texts(4))):
        (sources / split).mkdir(parents=True)
        (sources / f"{split}.jsonl").write_text(
            "".join(json.dumps({"text": text}) + "\n" for text in texts), encoding="utf-8"
        )
    paths = {split: str(sources / f"{split}.jsonl") for split in ("train", "validation", "test")}
    prepare(DataConfig(**paths), folder / "data", seed=0)
    write_tokens(read_split(folder / "data", "train"), tokenizer, folder / "tokens" / "train")
    (folder / "model").mkdir()
    torch.manual_seed(0)
    config = llama.LlamaConfig(
        vocab_size=tokenizer.vocab_size,
        hidden_size=16,
        intermediate_size=24,
        num_hidden_layers=1,
        num_attention_heads=2,
        max_position_embeddings=64,
        initializer_range=0.3,
    )
    save_model(folder / "model", llama.FAMILY.build(config), llama.FAMILY)
    tokenizer.save(folder / "model")
    return folder


def training_texts() -> list[str]:
    names = ("cat", "dog", "bird", "fish", "horse", "cow", "pig", "hen")
    return [f"{i}: the {name} sat on the mat, and the {name} {'ran ' * i}away.\n" for i, name in enumerate(names)]


def held_out_texts(count: int) -> list[str]:
    return [f"line {i}: the cat sat on the mat.\n" * (i + 1) for i in range(count)]
