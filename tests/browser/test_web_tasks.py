"""The forms of the tasks on the server's page: what is asked, and how the answer is shown."""

from __future__ import annotations

import pytest
from playwright.sync_api import expect
from tests.browser.scripted_server import Script
from tests.browser.window import Window

pytestmark = pytest.mark.browser


def test_a_label_is_shown_with_the_probabilities_of_all(window: Window, script: Script) -> None:
    script.rows["classify"] = {"label": "好评", "probability": 0.934, "probabilities": {"差评": 0.066, "好评": 0.934}}
    page = window.open("classify")
    page.fill("#field-text", "点心很好吃")
    page.get_by_label("Say nothing below").fill("0.6")
    page.press("#field-text", "Control+Enter")
    result = page.locator(".result")
    assert result.locator(".verdict").inner_text().split() == ["好评", "93%"]
    assert [row.split() for row in result.locator("tr").all_inner_texts()] == [["好评", "93%"], ["差评", "6.6%"]]
    asked = {"model": "reviews-zh", "input": "点心很好吃", "abstain_below": 0.6}
    assert script.heard[-1][:2] == ("/v1/classify", asked)
    expect(page.get_by_role("status").last).to_have_text("好评, 93%")
    share = result.locator(".track span").first
    assert share.evaluate("bar => bar.offsetWidth / bar.parentElement.offsetWidth") == pytest.approx(0.934, abs=0.02)


def test_abstention_and_a_text_that_cannot_be_read_are_said_in_words(window: Window, script: Script) -> None:
    row = {"label": None, "abstained": "neutral", "probability": 0.41, "probabilities": {"neutral": 0.41}}
    script.rows["classify"] = row
    page = window.open("classify?model=pairs")
    page.fill("#field-text", "A man sleeps.")
    page.fill("#field-second", "A man rests.")
    page.get_by_role("button", name="Classify").click()
    expect(page.locator(".result")).to_contain_text("Not sure enough to say.")
    expect(page.locator(".result")).to_contain_text("It would have been “neutral”, with a probability of 41%.")
    assert script.heard[-1][1]["input"] == {"text": "A man sleeps.", "second": "A man rests."}
    script.rows["classify"] = {"error": "second: empty"}
    page.get_by_role("button", name="Classify").click()
    expect(page.get_by_role("alert")).to_contain_text("second: empty")


def test_a_model_that_parts_a_text_into_words_shows_them(window: Window, script: Script) -> None:
    script.rows["extract"] = {"text": "今天天气", "tokens": ["今天", "天气"]}
    page = window.open("extract")
    page.fill("#field-text", "今天天气")
    page.get_by_role("button", name="Extract").click()
    expect(page.locator(".result .labels span")).to_have_text(["今天", "天气"])


def test_several_labels_or_none_are_named(window: Window, script: Script) -> None:
    shares = {"price": 0.9, "taste": 0.8, "place": 0.1}
    script.rows["classify"] = {"labels": ["price", "taste"], "probabilities": shares}
    page = window.open("classify")
    page.fill("#field-text", "cheap and good")
    page.get_by_role("button", name="Classify").click()
    expect(page.locator(".verdict strong")).to_have_text(["price", "taste"])
    assert page.locator("tr.chosen th").all_inner_texts() == ["price", "taste"]
    script.rows["classify"] = {"labels": [], "probabilities": shares}
    page.get_by_role("button", name="Classify").click()
    expect(page.locator(".verdict")).to_have_text("No label")


def test_entities_are_marked_by_characters_where_javascript_counts_otherwise(window: Window, script: Script) -> None:
    text = "😀王小明 met Ada in 北京."
    found = [
        {"start": 1, "end": 4, "text": "王小明", "label": "PER", "probability": 0.97},
        {"start": 9, "end": 12, "text": "Ada", "label": "PER", "probability": 0.9},
        {"start": 16, "end": 18, "text": "北京", "label": "LOC", "probability": 0.8},
    ]
    script.rows["extract"] = {"text": text, "entities": found}
    page = window.open("extract")
    page.fill("#field-text", text)
    page.get_by_role("button", name="Extract").click()
    marks = page.locator("mark.entity")
    expect(marks).to_have_text([f"{one['text']}{one['label']}" for one in found])
    assert [text.split() for text in page.locator(".legend button").all_inner_texts()] == [["PER", "2"], ["LOC", "1"]]
    colours = marks.evaluate_all("all => all.map(one => getComputedStyle(one).backgroundColor)")
    assert colours[0] == colours[1] != colours[2]
    page.get_by_role("button", name="LOC 1").click()
    expect(marks).to_have_text(["北京LOC"])
    page.get_by_text("As a table").click()
    assert page.locator(".scroll tbody tr").nth(2).inner_text().split("\t") == ["北京", "LOC", "16–18", "80%"]


def test_an_answer_is_marked_in_its_context_and_so_is_each_other_candidate(window: Window, script: Script) -> None:
    others = [{"text": "in 1843", "start": 11, "end": 18, "probability": 0.1}]
    row = {"answer": "1843", "start": 14, "end": 18, "probability": 0.81, "no_answer": 0.04, "alternatives": others}
    script.rows["answer"] = row
    page = window.open("answer")
    page.fill("#field-question", "When?")
    page.fill("#field-context", "She wrote 😀in 1843.")
    page.keyboard.press("Control+Enter")
    assert page.locator(".verdict").inner_text().split() == ["1843", "81%"]
    assert page.locator("mark").inner_text() == "1843"
    expect(page.locator(".result")).to_contain_text("That there is no answer: 4.0%")
    page.locator(".candidates button").nth(1).click()
    expect(page.locator("mark")).to_have_text("in 1843")
    assert script.heard[-1][1]["input"] == {"question": "When?", "context": "She wrote 😀in 1843."}
    script.rows["answer"] = {"answer": "", "start": None, "end": None, "probability": 0.9, "alternatives": []}
    page.get_by_role("button", name="Answer", exact=True).click()
    expect(page.locator(".verdict")).to_contain_text("The text has no answer.")


def test_a_translation_stands_beside_its_text(window: Window, script: Script) -> None:
    script.rows["translate"] = {"text": "Tea & <b>water</b>", "probability": 0.62}
    page = window.open("translate")
    assert page.locator("h1").inner_text() == "Translate"
    page.fill("#field-source", "茶和水")
    page.get_by_role("button", name="Write").click()
    expect(page.locator(".sides .source")).to_have_text(["茶和水", "Tea & <b>water</b>"])
    expect(page.locator(".sides")).to_contain_text("62% a token")
    assert script.heard[-1][1] == {"model": "zh-en", "input": "茶和水"}


def test_grades_are_shown_by_trait_in_the_order_of_the_scale(window: Window, script: Script) -> None:
    script.rows["grade"] = {
        "grade": {"content": 10, "language": 2},
        "probability": 0.5,
        "probabilities": {"content": {"10": 0.6, "2": 0.4}, "language": {"1": 0.5, "2": 0.5}},
        "expected": {"content": 6.8, "language": 1.5},
    }
    page = window.open("grade")
    page.fill("#field-text", "My holiday.")
    page.get_by_role("button", name="Grade").click()
    traits = page.locator(".traits section")
    expect(traits.locator("h2")).to_have_text(["content", "language"])
    assert traits.nth(0).locator("th").all_inner_texts() == ["2", "10"]
    assert traits.nth(0).locator("tr.chosen").inner_text().split() == ["10", "60%"]
    expect(traits.nth(1)).to_contain_text("Expected value: 1.5")
    assert script.heard[-1][1]["input"] == {"text": "My holiday."}


def test_a_base_model_goes_on_with_a_text_and_again_from_there(window: Window, script: Script) -> None:
    script.says = " was a mountain"
    page = window.open("complete")
    page.fill("#prompt", "Once there")
    page.get_by_label("Show how likely").check()
    page.get_by_role("button", name="Continue").click()
    page.locator(".actions").wait_for()
    assert page.locator(".result .tokens").text_content() == "Once there was a mountain"
    asked = {"prompt": "Once there", "max_tokens": 200, "logprobs": 5, "stream": True, "model": "smollm2-135m-instruct"}
    assert script.heard[-1][:2] == ("/v1/completions", asked)
    page.get_by_role("button", name="Go on from here").click()
    expect(page.locator("#prompt")).to_have_value("Once there was a mountain")


def test_a_form_that_is_left_gives_its_place_back_and_keeps_its_text(window: Window, script: Script) -> None:
    script.forever, script.pause = True, 0.01
    page = window.open("complete")
    page.fill("#prompt", "On and on")
    page.press("#prompt", "Control+Enter")
    page.locator(".result").wait_for()
    window.go("classify")
    assert script.hung_up.wait(5)
    window.go("complete")
    assert page.locator("#prompt").input_value() == "On and on"
