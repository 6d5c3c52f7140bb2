from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path

import pytest
import torch

from wenlu.config import Duration
from wenlu.corpus.packing import Windows
from wenlu.corpus.shard_writer import write_tokens
from wenlu.corpus.shards import TokenData
from wenlu.models import LanguageModel, family
from wenlu.rundir import Run
from wenlu.tokenizers import Tokenizer, TokenizerConfig, train_tokenizer
from wenlu.training import TrainConfig, TrainData

TEXTS = [
    f"the {animal} sat on the {place} {n} times\n"
    for n in range(30)
    for animal in ("cat", "dog")
    for place in ("mat", "log")
]


@pytest.fixture(scope="session")
def tokenizer() -> Tokenizer:
    return train_tokenizer(TokenizerConfig(kind="char", vocab_size=28), TEXTS)


@pytest.fixture(scope="session")
def tokens(tokenizer: Tokenizer, tmp_path_factory: pytest.TempPathFactory) -> TokenData:
    return write_tokens(TEXTS, tokenizer, tmp_path_factory.mktemp("tokens") / "train")


@pytest.fixture
def data(tokens: TokenData) -> TrainData:
    return TrainData(train=Windows(tokens, 16), validation=Windows(tokens, 16))


@pytest.fixture
def config() -> TrainConfig:
    return TrainConfig(
        duration=Duration(12, "steps"),
        context=16,
        global_batch_tokens=64,
        validations=2,
        validation_tokens=256,
        checkpoints=3,
        dtype="float64",
    )


@pytest.fixture
def new_model(tokens: TokenData) -> Callable[[], LanguageModel]:
    def build(dtype: torch.dtype = torch.float64) -> LanguageModel:
        torch.manual_seed(3)
        llama = family("llama")
        sizes = {"hidden_size": 16, "intermediate_size": 32, "num_hidden_layers": 2, "num_attention_heads": 2}
        settings = llama.config(vocab_size=tokens.vocab_size, max_position_embeddings=64, **sizes)
        return llama.build(settings, dtype=dtype)

    return build


@pytest.fixture
def new_run(tmp_path: Path) -> Iterator[Callable[[str], Run]]:
    with ExitStack() as runs:
        yield lambda name: runs.enter_context(Run.create(tmp_path / name, "", {}))
