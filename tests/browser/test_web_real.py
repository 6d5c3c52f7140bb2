"""The page on the server's own HTTP application, whose engine alone is a stand-in: both sides mean the same wire."""

from __future__ import annotations

import time
from collections.abc import Iterator
from typing import Any

import pytest
from playwright.sync_api import Browser, expect
from tests.browser.scripted_server import serving
from tests.browser.window import Window
from tests.server.fixed_engine import JUDGE, WRITER, FixedEngine

from wenlu.server.http.app import build_app
from wenlu.server.http.served import Served
from wenlu.server.messages import Failed, ModelInfo
from wenlu.server.settings import Limits

pytestmark = pytest.mark.browser

MODELS = (
    WRITER,
    JUDGE,
    ModelInfo("names", ("extract",), 1, task="token-classification", labels=("PER",), columns=("text",)),
    ModelInfo("reader", ("answer",), 1, task="question-answering", columns=("question", "context")),
    ModelInfo("zh-en", ("translate",), 1, task="translation", columns=("source", "mark")),
    ModelInfo("essays", ("grade",), 1, task="grading", columns=("text", "prompt")),
)


TASKS: list[tuple[str, list[str], dict[str, Any], str]] = [
    ("classify", ["text"], {"prediction": "good", "probability": 0.9, "probabilities": {"good": 0.9}}, "good 90%"),
    (
        "classify",
        ["text"],
        {"prediction": None, "abstained": "bad", "probability": 0.4},
        "Not sure enough to say. It would have been “bad”, with a probability of 40%.",
    ),
    (
        "extract",
        ["text"],
        {"prediction": [], "entities": [{"start": 0, "end": 2, "text": "It", "label": "PER", "probability": 0.9}]},
        "It PER is here.",
    ),
    (
        "answer",
        ["question", "context"],
        {"prediction": "here", "start": 6, "end": 10, "probability": 0.8, "alternatives": []},
        "here 80%",
    ),
    ("translate", ["source"], {"prediction": "Hier.", "probability": 0.5}, "Hier."),
    ("grade", ["text"], {"prediction": 3, "probability": 0.5, "expected": 3.2}, "3 50%"),
    ("grade", ["text"], {"error": "text: empty"}, "text: empty"),
]


@pytest.fixture(scope="module")
def real() -> Iterator[tuple[FixedEngine, str]]:
    engine = FixedEngine(models=MODELS)
    with serving(build_app(Served(engine, Limits()))) as address:
        yield engine, address


@pytest.fixture
def engine(real: tuple[FixedEngine, str]) -> FixedEngine:
    engine, _ = real
    engine.fails, engine.fails_after, engine.token_seconds = None, None, 0.0
    engine.pieces = ("Hello", ",", " ", "world", "!")
    engine.cancelled.clear()
    return engine


@pytest.fixture
def window(browser: Browser, real: tuple[FixedEngine, str]) -> Iterator[Window]:
    window = Window(browser, real[1])
    yield window
    window.close()
    assert window.noted == []


def test_chat_streams_with_probabilities(window: Window, engine: FixedEngine) -> None:
    page = window.open("chat")
    expect(page.locator("nav a")).to_have_count(8)
    page.click("[aria-controls=chat-settings]")
    page.get_by_label("Most tokens").fill("4")
    page.get_by_label("Show how likely").check()
    answer = window.say("Hi")
    assert answer.locator(".tokens").text_content() == "Hello, world"
    # The stand-in's tokens have a log-probability of -0.5.
    assert answer.locator(".token[role]").first.get_attribute("aria-label") == "Hello, 61%"
    expect(answer).to_contain_text("Cut off at the longest answer")


def test_stopping_cancels_at_the_engine(window: Window, engine: FixedEngine) -> None:
    engine.pieces, engine.token_seconds = ("on ",) * 5000, 0.005
    page = window.open("chat")
    answer = window.say("Go on.", waits=False)
    expect(answer).to_contain_text("on on")
    page.keyboard.press("Escape")
    until = time.monotonic() + 5
    while not engine.cancelled and time.monotonic() < until:
        time.sleep(0.01)
    assert list(engine.cancelled.values()) == ["decode"]


def test_a_text_is_gone_on_with(window: Window, engine: FixedEngine) -> None:
    page = window.open("complete")
    page.fill("#prompt", "Well. ")
    page.get_by_label("Show how likely").check()
    page.press("#prompt", "Control+Enter")
    page.locator(".result .actions").wait_for()
    assert page.locator(".result .tokens").text_content() == "Well. Hello, world!"


def test_each_task_is_asked_and_answered(window: Window, engine: FixedEngine) -> None:
    page = window.open()
    for view, fields, row, shown in TASKS:
        engine.rows = (row,)
        window.go("")
        window.go(view)
        for name in fields:
            page.fill(f"#field-{name}", "It is here.")
        page.press(f"#field-{fields[0]}", "Control+Enter")
        page.locator(".result").wait_for()
        assert "".join(shown.split()) in "".join(page.locator(".result").inner_text().split())


def test_failures_of_the_engine_are_told_with_their_request(window: Window, engine: FixedEngine) -> None:
    engine.fails, engine.fails_after = Failed(id=0, fault="engine", message="the engine broke"), 2
    window.open("chat")
    answer = window.say("Hi")
    expect(answer).to_contain_text("Hello,")
    expect(answer.get_by_role("alert")).to_contain_text("the engine broke")
    engine.fails = Failed(id=0, fault="context", message="5000 tokens; at most 4096", context=4096, asked=5000)
    engine.fails_after = None
    answer = window.say("Again")
    expect(answer.get_by_role("alert")).to_contain_text("longer than the model can read")
    assert answer.get_by_role("alert").locator("code").inner_text() != ""
    window.forgive(400)
