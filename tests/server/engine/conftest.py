"""A tiny chat model behind a loop, for all tests of a file."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
from tests.server.asking import Asked, byte_tokenizer, running, tiny_llama


@pytest.fixture(scope="session")
def tiny(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tiny_llama(tmp_path_factory.mktemp("models") / "tiny", byte_tokenizer())


@pytest.fixture(scope="module")
def asked(tiny: Path) -> Iterator[Asked]:
    with running([("tiny", tiny)]) as asked:
        yield asked
