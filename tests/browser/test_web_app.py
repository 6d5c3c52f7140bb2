"""The server's page as a whole: its views, languages, themes, widths, and whoever uses it without a mouse."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest
from playwright.sync_api import Browser, Page, expect
from tests.browser.scripted_server import MODELS, Script
from tests.browser.window import Window

pytestmark = pytest.mark.browser

VIEWS = ("", "chat", "complete", "classify", "extract", "answer", "translate", "grade")
ROWS: dict[str, dict[str, Any]] = {
    "classify": {"label": "好评", "probability": 0.9, "probabilities": {"好评": 0.9, "差评": 0.1}},
    "extract": {
        "text": "Ada in 北京",
        "entities": [
            {"start": 0, "end": 3, "text": "Ada", "label": "PER", "probability": 0.9},
            {"start": 7, "end": 9, "text": "北京", "label": "LOC", "probability": 0.8},
        ],
    },
    "answer": {
        "answer": "Ada",
        "start": 0,
        "end": 3,
        "probability": 0.8,
        "no_answer": 0.1,
        "alternatives": [{"text": "北京", "start": 7, "end": 9, "probability": 0.1}],
    },
    "translate": {"text": "Ada in Beijing", "probability": 0.6},
    "grade": {"grade": 3, "probability": 0.5, "probabilities": {"2": 0.2, "3": 0.5, "4": 0.3}, "expected": 3.1},
}
SAYS = (
    "## Tea\n\n**Boil** it, says [she](https://example.org):\n\n> now\n\n| a | b |\n|--|--|\n| 1 | `2` |\n\n"
    "```\nx\n```\n\n" + "long" * 200
)
AXE = """
async () => (await axe.run(document, { resultTypes: ["violations"] })).violations
  .filter(one => ["serious", "critical"].includes(one.impact))
  .map(one => `${one.id}: ${one.nodes.map(node => node.html).join(" ")}`)
"""


@pytest.fixture(scope="module")
def everything(browser: Browser, served: tuple[Script, str], axe: str) -> Iterator[Window]:
    """One window for all views, with axe in it."""
    window = Window(browser, served[1])
    window.open().evaluate(axe)
    window.page.emulate_media(reduced_motion="reduce")  # or a colour is measured on its way to another
    yield window
    window.close()


def fill(window: Window, view: str) -> Page:
    """A view with something in all its places."""
    page = window.page
    window.go(view)
    if view == "chat":
        page.click("[aria-controls=chat-settings]")
        window.say("茶?")
        page.locator("#chat-settings input[type=checkbox]").check()
        window.say("And?").locator(".token").first.focus()
    elif view:
        for field in page.locator("main textarea").all():
            field.fill("Ada in 北京")
        for field in page.locator("main input[type=text]").all():
            field.fill("Who?")
        page.locator("main button.main").click()
        page.locator(".result").wait_for()
        if view == "complete":
            page.locator(".result .actions").wait_for()
        if view == "extract":
            page.locator("summary").click()
    return page


@pytest.mark.parametrize("view", VIEWS)
def test_a_view_fits_all_widths_and_passes_axe_in_each_theme_and_language(
    everything: Window, script: Script, view: str
) -> None:
    """320 pixels are what 1280 are at a zoom of 400 %, and 720 what 1440 are at 200 %."""
    script.rows, script.says = ROWS, SAYS
    page = fill(everything, view)
    for width in (1920, 720, 320, 375):
        page.set_viewport_size({"width": width, "height": 800})
        assert page.evaluate("document.documentElement.scrollWidth") <= width, width
    for language, scheme in (("en", "light"), ("en", "dark"), ("zh-CN", "dark"), ("zh-CN", "light")):
        if page.evaluate("document.documentElement.lang") != language:
            page.locator("header button[lang]").click()
            page.wait_for_selector(f'html[lang="{language}"]', state="attached")
        page.emulate_media(color_scheme=scheme)
        page.evaluate("() => new Promise(done => requestAnimationFrame(() => requestAnimationFrame(done)))")
        assert page.evaluate(AXE) == [], (scheme, language)
    page.locator("header button[lang]").click()
    page.wait_for_selector('html[lang="en"]', state="attached")
    assert everything.noted == []


def test_errors_and_the_dialog_for_keys_pass_axe_too(window: Window, script: Script, axe: str) -> None:
    script.key = "sk-secret"
    page = window.open()
    page.evaluate(axe)
    assert page.evaluate(AXE) == []
    page.keyboard.press("Escape")
    expect(page.get_by_role("dialog")).to_be_hidden()
    expect(page.get_by_role("alert")).to_contain_text("needs a key")
    assert page.evaluate(AXE) == []
    window.forgive(401)


def test_the_whole_way_can_be_gone_by_keyboard(window: Window, script: Script) -> None:
    page = window.open()
    page.keyboard.press("Tab")
    expect(page.get_by_text("Skip to content")).to_be_focused()
    assert page.get_by_text("Skip to content").bounding_box()["width"] > 50  # type: ignore[index]
    page.keyboard.press("Enter")
    expect(page.locator("main")).to_be_focused()
    page.keyboard.press("Tab")
    expect(page.locator(".doors a").first).to_be_focused()
    outline = "getComputedStyle(document.activeElement).outlineStyle"
    assert page.evaluate(outline) == "solid"
    page.keyboard.press("Enter")
    expect(page.locator("main")).to_be_focused()
    for _ in range(4):
        page.keyboard.press("Tab")
        if page.evaluate("document.activeElement.id") == "composer":
            break
    page.keyboard.type("Hello")
    page.keyboard.press("Enter")
    page.locator(".actions").wait_for()
    assert script.heard[-1][1]["messages"] == [{"role": "user", "content": "Hello"}]


def test_the_views_are_those_that_the_served_models_can_fill(window: Window, script: Script) -> None:
    script.models = [model for model in MODELS if model["id"] in ("smollm2-poems", "names", "vectors")]
    page = window.open()
    expect(page.locator("nav a")).to_have_text(["Models", "Chat", "Continue", "Extract"])
    expect(page.locator(".models h2")).to_have_text(["smollm2-poems", "names", "vectors"])
    expect(page.locator(".models li").first).to_contain_text("adapts smollm2-135m-instruct")
    expect(page.locator(".models li").first).to_contain_text("loads when asked")
    page.goto(page.url.partition("#")[0] + "#/grade")
    expect(page.locator("main")).to_contain_text("No model on this server does this.")


def test_language_and_theme_can_be_chosen_and_are_kept(window: Window) -> None:
    page = window.open("chat")
    page.get_by_role("button", name="中文").click()
    expect(page.locator("nav")).to_contain_text("对话")
    page.get_by_role("button", name="主题：跟随系统。改为浅色").click()
    page.get_by_role("button", name="主题：浅色。改为深色").click()
    page.reload()
    expect(page.locator("nav")).to_contain_text("对话")
    assert page.evaluate("[document.documentElement.lang, document.documentElement.dataset.theme]") == ["zh-CN", "dark"]
    assert page.evaluate("getComputedStyle(document.documentElement).backgroundColor") == "rgb(21, 23, 26)"
    assert page.title() == "对话 · 文炉 Wenlu"


def test_models_appear_by_themselves_once_the_server_is_ready(window: Window, script: Script) -> None:
    script.is_ready, script.models = False, []
    page = window.open()
    expect(page.locator(".readiness")).to_have_text("Not ready yet")
    expect(page.locator("main")).to_contain_text("loading its models")
    script.is_ready, script.models = True, list(MODELS)
    expect(page.locator(".readiness")).to_have_text("Ready")
    expect(page.locator(".models h2")).to_have_count(len(MODELS))
    window.forgive(503)


def test_with_less_motion_nothing_moves(window: Window) -> None:
    page = window.open()
    page.emulate_media(reduced_motion="reduce")
    moving = "[...document.querySelectorAll('*')].filter(node => parseFloat(getComputedStyle(node).transitionDuration))"
    assert page.evaluate(f"{moving}.length") == 0
