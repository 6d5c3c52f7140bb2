"""Chat on the server's page: streams, keys, probabilities, errors, what is kept."""

from __future__ import annotations

from base64 import b64decode

import pytest
from playwright.sync_api import FilePayload, expect
from tests.browser.scripted_server import Script
from tests.browser.window import Window
from tests.tasks.labelled import RED, painted

pytestmark = pytest.mark.browser

MARKDOWN = "## Tea\n\nBoil **fresh** water:\n\n1. warm\n2. pour\n\n```\na < b\n```\n\n| a | b |\n|--|--:|\n| 1 | 2 |\n"


def test_an_answer_comes_as_markdown_and_is_asked_with_what_was_set(window: Window, script: Script) -> None:
    script.says = MARKDOWN
    page = window.open("chat")
    page.click("[aria-controls=chat-settings]")
    page.fill("#chat-settings textarea", "Be brief.")
    page.get_by_label("Temperature").fill("0.5")
    page.get_by_label("Seed").fill("7")
    answer = window.say("How is tea made?")
    assert answer.locator("h2:not(.unseen)").inner_text() == "Tea"
    assert answer.locator("strong").inner_text() == "fresh"
    assert answer.locator("ol li").all_inner_texts() == ["warm", "pour"]
    assert answer.locator("pre").inner_text().strip() == "a < b"
    assert answer.locator("td.right").inner_text() == "2"
    path, body, headers = script.heard[-1]
    assert path == "/v1/chat/completions"
    assert body == {
        "model": "smollm2-135m-instruct",
        "messages": [
            {"role": "system", "content": "Be brief."},
            {"role": "user", "content": "How is tea made?"},
        ],
        "temperature": 0.5,
        "seed": 7,
        "stream": True,
    }
    assert "authorization" not in headers


def test_escape_stops_an_answer_and_the_server_sees_that_nobody_reads(window: Window, script: Script) -> None:
    script.says, script.forever, script.pause = "on and on", True, 0.005
    page = window.open("chat")
    answer = window.say("Go on.", waits=False)
    expect(answer).to_contain_text("on and on")
    expect(page.get_by_role("button", name="Stop")).to_be_visible()
    assert page.get_by_role("status").last.inner_text() == ""
    page.keyboard.press("Escape")
    assert script.hung_up.wait(5)
    expect(answer).to_contain_text("Stopped")
    script.forever, script.says = False, "Enough."
    page.get_by_role("button", name="Try again").click()
    expect(page.locator(".message").nth(1)).to_contain_text("Enough.")
    assert page.locator(".message").count() == 2
    assert script.heard[-1][1]["messages"] == [{"role": "user", "content": "Go on."}]


def test_enter_sends_but_not_in_the_middle_of_a_character_that_is_composed(window: Window, script: Script) -> None:
    page = window.open("chat")
    page.fill("#composer", "ni")
    press = "(area, more) => area.dispatchEvent(new KeyboardEvent('keydown', { key: 'Enter', bubbles: true, ...more }))"
    area = page.locator("#composer")
    area.evaluate(press, {"isComposing": True})
    area.evaluate(press, {"keyCode": 229})
    page.press("#composer", "Shift+Enter")
    page.keyboard.type("hao")
    assert script.heard == []
    assert area.input_value() == "ni\nhao"
    page.press("#composer", "Enter")
    page.locator(".actions").wait_for()
    assert script.heard[-1][1]["messages"][-1]["content"] == "ni\nhao"
    assert area.input_value() == ""
    expect(area).to_be_focused()


def test_tokens_show_how_likely_they_were_and_what_else_might_have_been(window: Window, script: Script) -> None:
    script.says = "Tea 😀 and milk"
    page = window.open("chat")
    page.click("[aria-controls=chat-settings]")
    page.get_by_label("Show how likely").check()
    answer = window.say("What?")
    tokens = answer.locator(".tokens [role=button]")
    assert "".join(tokens.all_text_contents()) == "Tea 😀 and milk"
    assert script.heard[-1][1]["top_logprobs"] == 5
    tokens.first.focus()
    page.keyboard.press("ArrowRight")
    expect(tokens.nth(1)).to_be_focused()
    rows = answer.locator(".others tr")
    # What the script gives its second token: 0.55, half of the rest, a quarter of it.
    expect(rows.locator(".number")).to_have_text(["55%", "23%", "11%"])
    assert tokens.nth(1).get_attribute("aria-label") == "␣😀, 55%"
    answer.get_by_role("button", name="Probabilities").click()
    expect(answer.locator(".markdown")).to_have_text("Tea 😀 and milk")


def test_only_a_finished_answer_is_read_out(window: Window, script: Script) -> None:
    script.says = "One two three."
    page = window.open("chat")
    page.evaluate(
        """() => {
          window.heard = [];
          const place = document.querySelector("[aria-live]");
          new MutationObserver(() => window.heard.push(place.textContent)).observe(
            place, { childList: true, characterData: true, subtree: true });
        }"""
    )
    window.say("Count.")
    for _ in range(100):  # the page's policy forbids Playwright's own waiting for an expression
        if page.evaluate("window.heard.length"):
            break
        page.wait_for_timeout(50)
    assert page.evaluate("window.heard") == ["Answer: One two three."]


def test_a_conversation_outlives_a_reload_but_not_its_window(window: Window, script: Script) -> None:
    page = window.open("chat")
    window.say("Will you stay?")
    page.reload()
    expect(page.locator(".message")).to_have_count(2)
    assert "Will you stay?" in page.locator(".messages").inner_text()
    assert page.evaluate("JSON.stringify(localStorage)") == "{}"
    page.get_by_role("button", name="Clear").click()
    page.reload()
    expect(page.locator(".message")).to_have_count(0)


def test_an_error_is_told_in_words_with_the_request_and_when_to_come_again(window: Window, script: Script) -> None:
    script.refusal = (429, {"message": "64 requests wait already"}, {"retry-after": "7"})
    page = window.open("chat")
    answer = window.say("Now?")
    error = answer.get_by_role("alert")
    for words in ("too much to do", "64 requests wait already", "in 7 seconds", "req-7f3a"):
        expect(error).to_contain_text(words)
    error.get_by_role("button", name="Try again").click()
    expect(page.locator(".message.assistant")).to_have_count(1)
    expect(page.locator(".message.assistant")).to_contain_text("Yes.")
    window.forgive(429)


def test_an_answer_that_breaks_off_keeps_what_came_and_says_so(window: Window, script: Script) -> None:
    script.says, script.breaks = "It begins well and then", 3
    window.open("chat")
    answer = window.say("Tell me.")
    expect(answer).to_contain_text("It begins well")
    expect(answer.get_by_role("alert")).to_contain_text("the engine broke")
    expect(answer.get_by_role("alert")).to_contain_text("req-7f3a")


def test_a_key_is_asked_for_sent_and_kept_for_the_window_only(window: Window, script: Script) -> None:
    script.key = "sk-secret"
    page = window.open()
    dialog = page.get_by_role("dialog")
    expect(dialog).to_contain_text("answers only those who have a key")
    dialog.get_by_label("Key").fill("sk-wrong")
    page.keyboard.press("Enter")
    expect(dialog).to_contain_text("did not take this key")
    dialog.get_by_label("Key").fill("sk-secret")
    page.keyboard.press("Enter")
    expect(dialog).to_be_hidden()
    page.get_by_role("link", name="Chat").first.click()
    window.say("Hello")
    assert script.heard[-1][2]["authorization"] == "Bearer sk-secret"
    assert "sk-secret" not in page.url + page.evaluate("JSON.stringify(localStorage) + document.cookie")
    page.get_by_role("button", name="Key").click()
    page.get_by_role("button", name="Forget key").click()
    expect(dialog).to_contain_text("answers only those who have a key")
    window.forgive(401)


def test_events_are_read_however_the_network_cuts_them(window: Window) -> None:
    page = window.open()
    read = """
    async ([pieces]) => {
      const { eventData } = await import("/static/sse.mjs");
      const body = new ReadableStream({
        start(controller) {
          for (const piece of pieces) controller.enqueue(new Uint8Array(piece));
          controller.close();
        },
      });
      const found = [];
      for await (const data of eventData(body)) found.push(data);
      return found;
    }
    """
    text = ": hello\r\n\r\ndata: 茶😀\r\n\r\nevent: x\ndata:two\ndata: lines\n\ndata: [DONE]\n\n".encode()
    expected = ["茶😀", "two\nlines", "[DONE]"]
    for size in (1, 2, 3, 5, len(text)):
        pieces = [list(text[at : at + size]) for at in range(0, len(text), size)]
        assert page.evaluate(read, [pieces]) == expected, size


def test_a_character_of_two_tokens_stands_with_the_last_of_them(window: Window) -> None:
    told = [{"token": "x", "logprob": 0.0, "bytes": list(part)} for part in ("茶".encode()[:2], "茶".encode()[2:])]
    read = """
    async ([content]) => {
      const { tokensOf } = await import("/static/probability.mjs");
      return tokensOf({ content }, new TextDecoder()).map(token => token.text);
    }
    """
    assert window.open().evaluate(read, [told]) == ["", "茶"]


def _with_seeing(script: Script, *columns: str) -> None:
    script.models = [{**script.models[0], "id": "eyes", "capabilities": ["chat"], "sees": True, "columns": [*columns]}]


def _picture(name: str = "cat.png") -> FilePayload:
    return {"name": name, "mimeType": "image/png", "buffer": b64decode(painted(RED).partition(",")[2])}


def test_a_picture_is_chosen_shown_and_asked_about_by_itself(window: Window, script: Script) -> None:
    _with_seeing(script, "question", "image")
    script.says = "red"
    page = window.open("chat")
    send = page.get_by_role("button", name="Send")
    page.set_input_files(".picture-button input", _picture())
    expect(page.locator(".shown-picture img")).to_be_visible()
    expect(send).to_be_disabled()  # nothing is asked of it yet
    for question in ("which colour?", "and now?"):
        if question == "and now?":
            page.set_input_files(".picture-button input", _picture())
        page.fill("#composer", question)
        page.press("#composer", "Enter")
        expect(page.locator(".message.assistant").last).to_contain_text("red")
        body = script.heard[-1][1]
        shown, asked = body["messages"][-1]["content"]
        assert len(body["messages"]) == 1
        assert shown == {"type": "image_url", "image_url": {"url": painted(RED)}}
        assert asked == {"type": "text", "text": question}
        expect(page.locator(".shown-picture")).to_have_count(0)
    assert page.locator(".message.user img.shown").count() == 2
    page.reload()
    expect(page.locator(".message.user img.shown").first).to_be_visible()


def test_a_captioner_needs_no_text_and_a_chosen_picture_can_be_removed(window: Window, script: Script) -> None:
    _with_seeing(script, "image")
    page = window.open("chat")
    send = page.get_by_role("button", name="Send")
    page.set_input_files(".picture-button input", _picture())
    page.get_by_role("button", name="Remove the picture").click()
    expect(send).to_be_disabled()
    page.set_input_files(".picture-button input", _picture())
    send.click()
    expect(page.locator(".message.assistant")).to_contain_text("Yes.")
    (content,) = script.heard[-1][1]["messages"][0]["content"]
    assert content["type"] == "image_url"


def test_a_large_picture_is_refused_and_models_without_eyes_have_no_button(window: Window, script: Script) -> None:
    page = window.open("chat")
    expect(page.locator(".picture-button")).to_have_count(0)
    _with_seeing(script, "image")
    page.reload()
    large: FilePayload = {"name": "large.png", "mimeType": "image/png", "buffer": bytes(5 * 2**20 + 1)}
    page.set_input_files(".picture-button input", large)
    expect(page.get_by_role("alert")).to_contain_text("larger than 5 MB")
    expect(page.locator(".shown-picture")).to_have_count(0)


def test_a_conversation_goes_on_about_its_pictures_and_may_be_in_words_alone(window: Window, script: Script) -> None:
    _with_seeing(script)
    page = window.open("chat")
    expect(page.get_by_text("You can show pictures too")).to_be_visible()
    window.say("Hello")
    assert script.heard[-1][1]["messages"] == [{"role": "user", "content": "Hello"}]
    page.set_input_files(".picture-button input", _picture())
    expect(page.locator(".shown-picture img")).to_be_visible()
    window.say("What is it?")
    window.say("Are you sure?")
    messages = script.heard[-1][1]["messages"]
    assert [message["role"] for message in messages] == ["user", "assistant"] * 2 + ["user"]
    assert messages[2]["content"][0] == {"type": "image_url", "image_url": {"url": painted(RED)}}
    assert (messages[0]["content"], messages[4]["content"]) == ("Hello", "Are you sure?")
