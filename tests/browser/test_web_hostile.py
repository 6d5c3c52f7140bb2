"""What a model writes on the server's page stays text: nothing of it runs, and nothing of it is loaded."""

from __future__ import annotations

import itertools
import json
import os

import pytest
from playwright.sync_api import expect
from tests.browser.scripted_server import Script
from tests.browser.window import Window

pytestmark = pytest.mark.browser

RUN = "window.owned=1;alert(1)"
AWAY = "http://127.0.0.1:9/x"
HTML = (
    f"<script>{RUN}</script>",
    f"<script src={AWAY}></script>",
    f"<img src=x onerror='{RUN}'>",
    f"<img src={AWAY}>",
    f"<svg onload='{RUN}'>",
    f"<svg><script>{RUN}</script></svg>",
    f"<svg><use href='{AWAY}#a'/></svg>",
    f"<svg><animate onbegin='{RUN}' attributeName=x dur=1s>",
    f"<iframe srcdoc='<script>parent.{RUN}</script>'></iframe>",
    f"<iframe src={AWAY}></iframe>",
    f"<object data={AWAY}></object>",
    f"<embed src={AWAY}>",
    f"<link rel=stylesheet href={AWAY}>",
    f"<style>@import '{AWAY}'; body {{ background: url({AWAY}) }}</style>",
    f"<p style='background:url({AWAY})'>x</p>",
    f"<body onload='{RUN}'>",
    f"<details open ontoggle='{RUN}'>",
    f"<video><source onerror='{RUN}'></video>",
    f"<audio src={AWAY} autoplay></audio>",
    f"<input autofocus onfocus='{RUN}'>",
    f"<form action='javascript:{RUN}'><button autofocus>x</button></form>",
    f"<meta http-equiv=refresh content='0;url={AWAY}'>",
    f"<base href={AWAY}>",
    f"<math><mtext><table><mglyph><style><!--</style><img src=x onerror='{RUN}'>",
    f"<noscript><p title='</noscript><img src=x onerror={RUN}>'>",
    f"<template><script>{RUN}</script></template>",
    f"<a href='javascript:{RUN}'>x</a>",
    f"<marquee onstart='{RUN}'>x</marquee>",
    f"<portal src={AWAY}></portal>",
    f"<dialog open onbeforetoggle='{RUN}'>x</dialog>",
)
FRAMES = ("{}", "# {}", "- {}", "| a |\n|--|\n| {} |", "[x]({})")
LINKS = (
    f"[x](javascript:{RUN})",
    f"[x](JaVaScRiPt:{RUN})",
    f"[x](java\tscript:{RUN})",
    f"[x](&#106;avascript:{RUN})",
    f"[x](javascript&colon;{RUN})",
    f"[x](vbscript:{RUN})",
    f"[x](data:text/html,<script>{RUN}</script>)",
    f"[x](<javascript:{RUN}>)",
    f"<javascript:{RUN}>",
    f"![x]({AWAY})",
    f"![x](javascript:{RUN})",
    f"![x](data:image/svg+xml,<svg/onload={RUN}>)",
    f'![a](<{AWAY}>"onerror={RUN})',
    f"[x]: {AWAY}\n![x]",
    f"[x](http://e.org 'a\"onmouseover={RUN}')",
    f'[x](http://e.org/"onclick={RUN})',
    f'```js"onload={RUN}\n<script>{RUN}</script>\n```',
    f"`<script>{RUN}</script>`",
    f"&lt;script&gt;{RUN}&lt;/script&gt;",
    f"\u202e<img src=x onerror={RUN}>\u2028",
)
ALL = [*LINKS, *(frame.format(text) for text, frame in itertools.product(HTML, FRAMES))]
DANGEROUS = "script, img, svg, math, iframe, object, embed, link, style, form, input, video, audio, base, meta"
FOUND = f"""
answer => [
  ...[...answer.querySelectorAll("{DANGEROUS}")].filter(node => !node.closest(".actions")).map(node => node.outerHTML),
  ...[...answer.querySelectorAll(".markdown *")].flatMap(node => [...node.attributes])
    .filter(one => /^(on|style|src|srcset)/i.test(one.name)).map(one => `${{one.name}}=${{one.value}}`),
  ...[...answer.querySelectorAll(".markdown a")].map(node => node.getAttribute("href") ?? "")
    .filter(href => href && !/^(https?|mailto):/.test(href)),
]
"""


def test_nothing_that_a_model_wrote_runs_or_loads(window: Window) -> None:
    """All of them at once, as the conversation of this window."""
    said = [{"role": "assistant", "model": "m", "text": text} for text in ALL]
    kept = json.dumps(json.dumps({"system": "", "messages": said}))
    window.context.add_init_script(f"sessionStorage.setItem('wenlu.conversation', {kept})")
    page = window.open("chat")
    expect(page.locator(".message")).to_have_count(len(ALL))
    assert len(ALL) >= 150
    found = page.evaluate(f"() => [...document.querySelectorAll('.message')].map({FOUND})")
    assert [pair for pair in zip(ALL, found, strict=True) if pair[1]] == []
    assert page.evaluate("window.owned") is None


def test_nothing_that_a_model_is_writing_runs_or_loads(window: Window, script: Script) -> None:
    page = window.open("chat")
    for payload in ALL if os.environ.get("WENLU_PROOF") == "1" else ALL[::43]:
        script.says = payload
        answer = window.say("Say it.")
        assert answer.evaluate(FOUND) == [], payload
        page.get_by_role("button", name="Clear").click()
    assert page.evaluate("window.owned") is None
    assert page.evaluate("document.activeElement.id") in ("composer", "")


def test_names_of_models_labels_and_errors_are_text_too(window: Window, script: Script) -> None:
    hostile = HTML[2]
    script.models = [{**model, "id": f"{hostile}{at}", "labels": [hostile]} for at, model in enumerate(script.models)]
    span = {"start": 0, "end": 2, "text": hostile, "label": hostile, "probability": 0.9}
    script.rows["extract"] = {"text": hostile, "entities": [span]}
    page = window.open()
    window.go("extract")
    page.fill("#field-text", hostile)
    page.get_by_role("button", name="Extract").click()
    page.locator(".result").wait_for()
    assert page.locator(".entity .type").inner_text() == hostile
    script.refusal = (400, {"message": hostile}, {"x-request-id": "<img src=x>"})
    page.get_by_role("button", name="Extract", exact=True).click()
    page.get_by_role("alert").wait_for()
    assert hostile in page.get_by_role("alert").inner_text()
    assert page.locator("main img, main script").count() == 0
    assert page.evaluate("window.owned") is None
    window.forgive(400)


def test_text_cannot_become_elements_but_through_the_sanitiser(window: Window) -> None:
    page = window.open()
    write = "document.body.innerHTML = '<i>x</i>'"
    tried = page.evaluate(f"() => {{ try {{ {write} }} catch (error) {{ return error.name }} }}")
    assert tried == "TypeError"
    window.noted = [line for line in window.noted if "TrustedHTML" not in line]
