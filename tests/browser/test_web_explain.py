"""Why a model answered so, on the server's page: coloured where the certificate says that it may be."""

from __future__ import annotations

import re
from typing import Any

import pytest
from playwright.sync_api import expect
from tests.browser.scripted_server import Script
from tests.browser.test_web_app import AXE
from tests.browser.window import Window
from tests.server.fixed_engine import WHY

from wenlu.explanation.certificate import judged
from wenlu.explanation.faithfulness import AgainstRandom, Faithfulness
from wenlu.explanation.methods import Attribution

pytestmark = pytest.mark.browser

TEXT = "😀 酒店位置不错 but 服务太差。"
UNITS = [
    ("酒店", 2, 0.21),
    ("位置", 4, 0.02),
    ("不错", 6, 1.94),
    ("but", 9, -0.33),
    ("服务", 13, None),
    ("太差", 15, -1.2),
]


def reasons(verdict: str) -> list[str]:
    """All that a verdict may be for, as the certificate words them."""
    none = AgainstRandom(0.0, 0.0, 0.0, 0.0)
    told = [Faithfulness(none, none, 40, 0.5, p, can_be_told) for p, can_be_told in ((0.5, True), (1.0, False))]
    found = Attribution([], completeness_error=0.5 if verdict == "unconverged" else 0.0)  # type: ignore[arg-type]
    stability = 0.1 if verdict == "unconverged" else None
    every = [judged(found, one, 0.9, stability, 3) for one in told]
    assert {each[0] for each in every} == {verdict}
    return list(dict.fromkeys(str(reason) for _, reasons in every for reason in reasons))


def why(verdict: str = "valid") -> dict[str, Any]:
    units = [
        {"part": "text", "text": text, "start": start, "end": start + len(text), "attribution": amount}
        for text, start, amount in UNITS
    ]
    certificate = WHY["certificate"] | {"verdict": verdict, "reasons": [] if verdict == "valid" else reasons(verdict)}
    explained = {"target": "好评", "against": None, "value": "logit", "chance": "probability"}
    parts = {"texts": {"text": TEXT}, "attributions": units, "certificate": certificate, "explained": explained}
    return {**WHY, "seconds": 2.0, **parts}


def ask(window: Window, script: Script, text: str = TEXT) -> Any:
    """The result of a text that was classified."""
    script.rows["classify"] = {"label": "好评", "probability": 0.93, "probabilities": {"差评": 0.07, "好评": 0.93}}
    page = window.open("classify?model=reviews-zh")
    page.fill("#field-text", text)
    page.press("#field-text", "Control+Enter")
    return page.locator(".result")


def test_units_of_a_valid_explanation_are_coloured_and_said(window: Window, script: Script) -> None:
    script.why = why()
    result = ask(window, script)
    page = window.page
    result.get_by_role("button", name="Why?").click()
    explanation = page.get_by_role("region", name="Why “好评”")
    assert explanation.locator(".badge").inner_text().split(maxsplit=1)[0] == "valid"
    assert script.heard[-1][:2] == ("/v1/explain", {"model": "reviews-zh", "input": TEXT})
    assert explanation.locator(".attributed").text_content() == TEXT
    units = explanation.get_by_role("group", name="Text by what speaks").get_by_role("button")
    assert units.all_inner_texts() == [text for text, *_ in UNITS], "all of them, once and in order"
    sides = units.evaluate_all("all => all.map(one => (one.className.match(/for|against|unread/) ?? [''])[0])")
    assert sides == ["", "", "for", "against", "unread", "against"]  # 0.21 of 1.94 is no third of it
    lines = units.evaluate_all("all => all.map(one => getComputedStyle(one).textDecorationStyle)")
    assert lines[2:4] == ["solid", "dashed"], "not by colour alone"
    names = units.evaluate_all("all => all.map(one => one.ariaLabel)")
    assert names[2:5] == ["不错: +1.94, speaks for it", "but: -0.33, speaks against it", "服务: not read"]
    units.first.focus()
    page.keyboard.press("ArrowRight")
    page.keyboard.press("ArrowRight")
    expect(units.nth(2)).to_be_focused()
    expect(explanation.locator(".pointed")).to_have_text(names[2])
    rows = [row.split() for row in explanation.locator(".strongest tbody tr").all_inner_texts()]
    assert [(row[0], row[-1]) for row in rows][:3] == [("不错", "+1.94"), ("太差", "-1.2"), ("but", "-0.33")]
    expect(page.get_by_role("status").last).to_have_text("Explanation, valid. For it speak: 不错")
    assert not explanation.locator(".certificate").is_visible()
    explanation.get_by_text("Certificate").click()
    expect(explanation.locator(".certificate")).to_contain_text("better than 100% of 40, p = 0.02")


@pytest.mark.parametrize("verdict", ["unconverged", "unfaithful"])
def test_what_is_not_valid_has_no_colour_and_never_one_without_the_statement(
    verdict: str, window: Window, script: Script
) -> None:
    script.why = why(verdict)
    ask(window, script).get_by_role("button", name="Why?").click()
    page = window.page
    explanation = page.locator(".explanation")
    expect(explanation.locator(".badge strong")).to_have_text(verdict)
    expect(explanation.locator(".badge li")).to_have_count(len(script.why["certificate"]["reasons"]))
    expect(explanation).to_contain_text(f"The text has no colours, because the verdict is “{verdict}”.")
    coloured = explanation.locator(".for, .against")
    assert explanation.locator(".source").text_content() == TEXT
    assert (coloured.count(), explanation.locator(".strongest").count()) == (0, 0)
    button = page.get_by_role("button", name="Show anyway")
    for _ in range(2):
        button.click()
        expect(explanation).to_contain_text(f"Not to be trusted: the verdict is “{verdict}”.")
        assert coloured.count() > 3
        button.click()
        expect(coloured).to_have_count(0)
    page.get_by_role("button", name="中文").click()
    expect(explanation).to_contain_text("所以原文没有上色")
    assert [line for line in explanation.locator("li").all_inner_texts() if not re.search("[一-龥]", line)] == []


def test_a_question_why_can_be_stopped(window: Window, script: Script) -> None:
    script.why = why()
    result = ask(window, script)
    result.locator(".verdict").wait_for()
    script.forever = True
    result.get_by_role("button", name="Why?").click()
    expect(result.get_by_role("progressbar")).to_have_attribute("aria-label", re.compile("asked again and again"))
    expect(result.get_by_role("button", name="Stop")).to_be_focused()
    window.page.keyboard.press("Escape")
    assert script.hung_up.wait(5)
    expect(result.get_by_role("button", name="Why?")).to_be_focused()
    script.forever = False
    result.get_by_role("button", name="Why?").click()
    expect(result.locator(".badge strong")).to_have_text("valid")


def test_a_refusal_is_told_and_can_be_tried_again(window: Window, script: Script) -> None:
    script.why = why()
    result = ask(window, script)
    result.locator(".verdict").wait_for()
    script.refusal = (503, {"message": "no explanation within 60 seconds", "code": "deadline_exceeded"}, {})
    result.get_by_role("button", name="Why?").click()
    expect(result.get_by_role("alert")).to_contain_text("no explanation within 60 seconds")
    result.get_by_role("button", name="Try again").click()
    expect(result.locator(".badge strong")).to_have_text("valid")
    expect(result.get_by_role("alert")).to_have_count(0)
    window.forgive(503)


def test_another_label_or_another_word_can_be_explained(window: Window, script: Script) -> None:
    script.why = why()
    result = ask(window, script)
    result.get_by_label("Explain").select_option("差评")
    result.get_by_role("button", name="Why?").click()
    result.locator(".explanation").wait_for()
    assert script.heard[-1][1] == {"model": "reviews-zh", "input": TEXT, "target": "差评"}
    found = [{"start": at, "end": at + 3, "text": text, "label": "PER"} for at, text in ((0, "Ada"), (8, "Bob"))]
    script.rows["extract"] = {"text": "Ada met Bob.", "entities": found}
    window.go("extract")
    page = window.page
    page.fill("#field-text", "Ada met Bob.")
    page.press("#field-text", "Control+Enter")
    page.get_by_label("Explain").select_option("Bob")
    page.get_by_role("button", name="Why?").click()
    page.locator(".explanation").wait_for()
    assert script.heard[-1][1] == {"model": "names", "input": "Ada met Bob.", "at": "Bob"}


def test_each_text_of_an_example_has_its_name_and_its_units(window: Window, script: Script) -> None:
    script.rows["answer"] = {"answer": "1843", "start": 14, "end": 18, "probability": 0.8, "alternatives": []}
    texts = {"question": "When?", "context": "She wrote 😀in 1843."}
    units = [("question", "When", 0, 4), ("context", "wrote", 4, 9), ("context", "1843", 14, 18)]
    script.why = why() | {
        "texts": texts,
        "attributions": [
            {"part": part, "text": text, "start": start, "end": end, "attribution": 1.0}
            for part, text, start, end in units
        ],
    }
    page = window.open("answer")
    for name, text in texts.items():
        page.fill(f"#field-{name}", text)
    page.keyboard.press("Control+Enter")
    page.get_by_role("button", name="Why?").click()
    explanation = page.locator(".explanation")
    expect(explanation.locator("h3")).to_have_text(["Question", "Text that has the answer"])
    assert explanation.locator(".attributed").all_text_contents() == list(texts.values())
    assert explanation.locator(".attributed .unit").all_inner_texts() == [text for _, text, *_ in units]
    assert script.heard[-1][1]["input"] == texts


def test_a_model_that_is_not_explained_has_no_such_button(window: Window, script: Script) -> None:
    script.models = [{**model, "capabilities": model["capabilities"][:1]} for model in script.models]
    result = ask(window, script)
    result.locator(".verdict").wait_for()
    assert result.get_by_role("button", name="Why?").count() == 0


def test_texts_and_reasons_stay_text(window: Window, script: Script) -> None:
    hostile = "<img src=x onerror='window.owned=1'>"
    unit = {"part": "text", "text": hostile, "start": 0, "end": len(hostile), "attribution": 1.0}
    script.why = why("unfaithful") | {"texts": {"text": hostile}, "attributions": [unit]}
    script.why["certificate"] |= {"reasons": [hostile], "model": hostile, "method": hostile, "baseline": hostile}
    script.why["explained"] |= {"target": hostile}
    script.why["elsewhere"] = [{"name": hostile, "attribution": -1.0}]
    ask(window, script, hostile).get_by_role("button", name="Why?").click()
    page = window.page
    page.get_by_role("button", name="Show anyway").click()
    page.locator(".explanation summary").click()
    assert page.locator(".explanation").inner_text().count(hostile) >= 7
    assert page.locator("main img").count() == 0
    assert page.evaluate("window.owned") is None


@pytest.mark.parametrize("verdict", ["valid", "unfaithful"])
def test_it_fits_all_widths_and_passes_axe_in_each_theme_and_language(
    verdict: str, window: Window, script: Script, axe: str
) -> None:
    script.why = why(verdict)
    script.why["certificate"] |= {"model": "sha256:" + "f6e22dbd" * 8}
    result = ask(window, script)
    page = window.page
    page.evaluate(axe)
    page.emulate_media(reduced_motion="reduce")
    result.get_by_role("button", name="Why?").click()
    if verdict != "valid":
        page.get_by_role("button", name="Show anyway").click()
    page.locator(".explanation summary").click()
    for width in (1920, 720, 320, 375):
        page.set_viewport_size({"width": width, "height": 800})
        assert page.evaluate("document.documentElement.scrollWidth") <= width, width
    for change in range(4):
        if change == 2:
            page.get_by_role("button", name="中文").click()
            expect(page.locator(".certificate")).to_contain_text("打乱权重之后")
        page.emulate_media(color_scheme="dark" if change % 2 else "light")
        page.evaluate("() => new Promise(done => requestAnimationFrame(() => requestAnimationFrame(done)))")
        assert page.evaluate(AXE) == [], change
