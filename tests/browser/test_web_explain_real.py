"""The page, the HTTP application and a tiny model that is really explained: what is shown is what the library gives."""

from __future__ import annotations

import asyncio
import threading

import pytest
from playwright.sync_api import Browser, expect
from tests.browser.scripted_server import serving
from tests.browser.window import Window
from tests.server.engine.test_tasks import tiny
from tests.server.fixed_engine import FixedEngine
from tests.tasks.labelled import NewTokenizer

import wenlu
from wenlu.explanation.explain import Explainer
from wenlu.server.engine.answering import Answering, go_on
from wenlu.server.engine.explaining import explained
from wenlu.server.engine.served import Served as One
from wenlu.server.engine.served import served
from wenlu.server.http.app import build_app
from wenlu.server.http.served import Served
from wenlu.server.messages import Answer, Asking, Explain, Reply
from wenlu.server.settings import Limits

pytestmark = pytest.mark.browser

TEXT = "the cat sat on the mat and saw a dog"


class OneModel(FixedEngine):
    """An engine with a model, and without a process."""

    def __init__(self, one: One) -> None:
        super().__init__(models=[one.info])
        self._one = one

    async def ask(self, request: Asking) -> Reply:
        if isinstance(request, Explain):
            return await asyncio.to_thread(explained, request, self._one, threading.Event())
        assert isinstance(request, Answer)
        answering = Answering(request, self._one)
        go_on([answering], 1)
        assert answering.reply is not None
        return answering.reply


def test_a_real_explanation_is_shown_with_its_own_amounts(browser: Browser, new_tokenizer: NewTokenizer) -> None:
    bundle = tiny("text-classification", new_tokenizer)
    (one,) = served("m", bundle)
    expected = wenlu.explain(Explainer(bundle), TEXT)
    with serving(build_app(Served(OneModel(one), Limits()))) as address:
        window = Window(browser, address)
        page = window.open("classify")
        page.fill("#field-text", TEXT)
        page.press("#field-text", "Control+Enter")
        page.get_by_role("button", name="Why?").click()
        explanation = page.locator(".explanation")
        expect(explanation.locator(".badge strong")).to_have_text(expected.certificate.verdict)
        if expected.certificate.verdict != "valid":
            assert explanation.locator(".for, .against").count() == 0
            page.get_by_role("button", name="Show anyway").click()
        units = explanation.locator(".attributed .unit")
        expect(units).to_have_text([each.text for each in expected.attributions])
        labels = units.evaluate_all("all => all.map(one => one.ariaLabel)")
        for label, each in zip(labels, expected.attributions, strict=True):
            shown = float(label.removeprefix(f"{each.text}: ").partition(",")[0])
            assert shown == pytest.approx(each.attribution, rel=6e-3, abs=1e-12), label
        assert window.noted == []
        window.close()
