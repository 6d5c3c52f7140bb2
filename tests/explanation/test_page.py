from __future__ import annotations

import base64
import hashlib
import json
import math
import re
from html.parser import HTMLParser
from pathlib import Path
from typing import Any, get_args

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from tests.explanation.handmade import REVIEW, attention_of, handmade

from wenlu.explanation.certificate import Verdict
from wenlu.explanation.explanation import AttentionMap, Explanation
from wenlu.explanation.methods import METHODS
from wenlu.explanation.page import fragment, sayings, write_page
from wenlu.explanation.page.amounts import STEPS, Scale, listed, percent, rounded
from wenlu.explanation.page.attention import packed, steps_of
from wenlu.explanation.page.data import of
from wenlu.explanation.page.document import WITHOUT_SCRIPT, page
from wenlu.explanation.page.page_words import Language
from wenlu.explanation.page.words import WORDS, Words, language_here
from wenlu.explanation.units import Level
from wenlu.html import VOID, plain

HOSTILE = (
    "</script><script>alert(1)</script>",
    "<!--<script>",
    "<img src=x onerror=alert(1)>",
    "]]>&lt;&#0;",
    "\u202egnidaer\u2066",
    "\x00\x07\x1b[31m",
    "\"'{unit}{0}`$&\\",
    "\ud800",
    "__proto__",
)


class Read(HTMLParser):
    """What a browser makes of a page: elements, the contents of scripts, the text outside them."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.names: list[str] = []
        self.attributes: list[tuple[str, str]] = []
        self.scripts: dict[str, str] = {}
        self.text = ""
        self._script: str | None = None
        self._open: list[str] = []
        self.feed(text)
        self.close()
        assert self._open == [], "an element is open"

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.names.append(tag)
        self.attributes += [(name, value or "") for name, value in attrs]
        self._script = dict(attrs).get("id") or "code" if tag == "script" else None
        if self._script is not None:
            assert self._script not in self.scripts, "two of a name"
            self.scripts[self._script] = ""
        if tag not in VOID:
            self._open.append(tag)

    def handle_endtag(self, tag: str) -> None:
        assert self._open.pop() == tag
        self._script = None

    def handle_data(self, data: str) -> None:
        if self._script is not None:
            self.scripts[self._script] += data
        elif not self._open or self._open[-1] != "style":
            self.text += data


def told(text: str, number: int = 0) -> Any:
    return json.loads(Read(text).scripts[f"explanation-{number}"])


def units_in(data: Any) -> list[Any]:
    return [segment for _, segments in data["parts"] for segment in segments if not isinstance(segment, str)]


def text_in(data: Any) -> str:
    segments = (segment for _, segments in data["parts"] for segment in segments)
    return "".join(segment if isinstance(segment, str) else segment[0] for segment in segments)


def test_hostile_text_ends_no_script_and_starts_no_element() -> None:
    harmless, wild = (
        handmade(
            [(text, 1.0) for text in texts],
            between=" ",
            id=texts[0],
            against=texts[1],
            answer={"prediction": texts[2]},
            elsewhere=((texts[3], 1.0),),
            attention=attention_of(texts),
        )
        for texts in (["word"] * len(HOSTILE), HOSTILE)
    )
    read, expected = Read(page([wild], HOSTILE[0])), Read(page([harmless], "name"))
    assert read.names == expected.names
    assert read.scripts.keys() == expected.scripts.keys()
    assert read.scripts["code"] == expected.scripts["code"]
    found = json.loads(read.scripts["explanation-0"])
    assert [unit[0] for unit in units_in(found)] == [plain(text) for text in HOSTILE]
    assert found["attention"]["tokens"] == [plain(text) for text in HOSTILE]
    assert json.loads(read.scripts["page"])["list"][0][0] == HOSTILE[0]
    assert not re.search(r"[\x00-\x08\x0b-\x1f\u202a-\u202e\u2066-\u2069]", page([wild], HOSTILE[0]))


def test_hostile_text_is_text_in_a_notebook() -> None:
    explanation = handmade([(text, 1.0) for text in HOSTILE], answer={"prediction": HOSTILE[0]})
    assert set(Read(fragment(explanation, "en")).names).isdisjoint({"script", "img"})


@given(st.lists(st.tuples(st.text(min_size=1), st.floats(-9, 9)), min_size=1, max_size=8), st.text(max_size=3))
def test_every_unit_is_there_once_and_in_order(units: list[tuple[str, float]], between: str) -> None:
    explanation = handmade(units, between=between)
    found = of(explanation)
    assert text_in(found) == explanation.parts[0].text
    assert [unit[:2] for unit in units_in(found)] == [list(unit) for unit in units]


def test_a_notebook_shows_the_text_once_and_whole() -> None:
    explanation = handmade((*REVIEW, ("没读到", None)), between="\n ")
    shown = re.search(
        r'<span style="white-space:pre-wrap" dir="auto">(.*?)</span></p>', fragment(explanation, "zh"), re.S
    )
    assert shown is not None
    assert Read(shown[1]).text == explanation.parts[0].text


@pytest.mark.parametrize("verdict", get_args(Verdict))
def test_a_notebook_colours_only_what_is_valid(verdict: Verdict) -> None:
    found = fragment(handmade(verdict=verdict, elsewhere=(("numbers", 1.0),)), "en")
    assert ("rgb(" in found) == ("rgba(" in found) == (verdict == "valid")
    assert ("Not to be trusted" in found) == ("has no colours" in found) == (verdict != "valid")
    assert f">{verdict}</strong>" in found


def test_a_notebook_needs_no_script_and_no_style_sheet() -> None:
    names = Read(handmade()._repr_html_()).names
    assert set(names) <= {"div", "p", "span", "strong", "bdi", "ul", "li", "details", "summary", "table"} | {
        "thead",
        "tbody",
        "tr",
        "th",
        "td",
    }


def test_sums_are_those_of_the_json() -> None:
    explanation = handmade((*REVIEW, ("没读到", None)), elsewhere=(("numbers: age", 0.125), ("vectors", -1.0)))
    found, plain_found = told(page([explanation], "model")), explanation.as_json()
    amounts = [each["attribution"] for each in plain_found["attributions"]]
    assert [unit[1] for unit in units_in(found)] == amounts
    assert [amount for _, amount in found["elsewhere"]] == [each["attribution"] for each in plain_found["elsewhere"]]
    # 2.5 + 0.0625 + 0.21875; -0.125 - 0.25 - 1.8125; 0.125 - 1; all with the start of -0.5
    numbers = {"base": "−0.500", "towards": "+2.781", "against": "−2.188", "elsewhere": "−0.875"}
    assert found["sum"][:2] == ["sum.elsewhere", numbers | {"sum": "−0.781", "whole": "−0.781"}]


def test_a_method_that_promises_no_sum_is_given_none() -> None:
    explanation = handmade()
    certificate = explanation.certificate.__class__(**{**vars(explanation.certificate), "completeness_error": None})
    bare = Explanation(**{**vars(explanation), "certificate": certificate})
    assert of(bare)["sum"] is None
    assert [row[0] for row in of(bare)["rows"] if "complete" in row[0]] == ["row.complete.none"]


def test_what_is_no_number_is_no_json_that_a_browser_refuses() -> None:
    explanation = handmade([("a", math.nan), ("b", -math.inf), ("c", 2.0, math.inf), ("d", 0.5, 0.25)])
    found = told(page([explanation], "model"))
    assert units_in(found) == [["a", "nan"], ["b", "-inf"], ["c", 2.0, "inf"], ["d", 0.5, 0.25]]
    assert found["largest"] == 2.0
    assert "nan" in fragment(explanation, "en")


def test_the_page_runs_its_own_script_alone_and_asks_for_nothing(tmp_path: Path) -> None:
    path = tmp_path / "why.html"
    write_page(path, [handmade(), handmade(attention=attention_of(["a", "b"]))], name="model")
    read = Read(path.read_text(encoding="utf-8"))
    digest = base64.b64encode(hashlib.sha256(read.scripts["code"].encode()).digest()).decode()
    policy = next(value for name, value in read.attributes if name == "content" and "default-src" in value)
    assert policy.startswith(f"default-src 'none'; script-src 'sha256-{digest}'; ")
    assert not [value for name, value in read.attributes if name in ("src", "href", "action") or name.startswith("on")]
    assert not re.search(r"innerHTML|outerHTML|insertAdjacent|document\.write|eval|https?:", read.scripts["code"])


def test_without_scripts_the_first_explanations_are_there() -> None:
    explanations = [handmade([(f"unit{number}", 1.0)]) for number in range(WITHOUT_SCRIPT + 2)]
    inside = re.search(r"<noscript>(.*)</noscript>", page(explanations, "model"), re.S)
    assert inside is not None
    text = Read(inside[1]).text
    assert f"unit{WITHOUT_SCRIPT - 1}" in text
    assert f"unit{WITHOUT_SCRIPT}" not in text
    assert f"{WITHOUT_SCRIPT}" in text.split("。")[0] + text.split(".")[0]


def test_a_page_of_nothing_is_a_page() -> None:
    assert json.loads(Read(page([], "model")).scripts["page"])["list"] == []


@given(st.integers(0, 2**32 - 1))
def test_weights_keep_what_their_precision_promises(seed: int) -> None:
    weights = np.random.default_rng(seed).dirichlet(np.full(7, 0.1), (2, 3, 7)).astype(np.float32)
    back = (steps_of(weights).astype(np.float64) / 255) ** 2
    assert (np.abs(back - weights) <= np.sqrt(weights) / 255 + 1 / 510**2 + 1e-7).all()
    assert base64.b64decode(packed(AttentionMap(weights, tuple("abcdefg")))) == steps_of(weights).tobytes()


def test_the_promise_of_precision_is_what_the_words_say() -> None:
    assert 1 / 255 + 1 / 510**2 < 0.004
    assert 0.01**0.5 / 255 + 1 / 510**2 < 0.0004
    assert all("0.004" in words["attention.precision"] for words in WORDS.values())


def test_both_languages_have_the_same_sentences_with_the_same_gaps() -> None:
    english, chinese = (
        {key: set(re.findall(r"\{(\w+)\}", text)) for key, text in WORDS[language].items() if key[:5] != "term."}
        for language in ("en", "zh")
    )
    assert english == chinese


def test_terms_have_a_word_in_chinese_and_methods_are_told_in_both() -> None:
    methods = [method.name for method in METHODS]
    baselines = [f"replaced: {name}" for name in ("mask", "pad", "mean", "zero")]
    values = ["logit", "difference of logits", "logit of start and end", "difference of logits of start and end"]
    values += ["score", "difference of scores", "probability", "the score itself", "left out"]
    for name in [*methods, *baselines, *values, *get_args(Level)]:
        assert f"term.{name}" in WORDS["zh"]
    for name in methods:
        assert all(f"term.{name}: how" in WORDS[language] for language in WORDS)


@pytest.mark.parametrize("language", get_args(Language))
@pytest.mark.parametrize("verdict", get_args(Verdict))
def test_the_certificate_can_be_told_whole(verdict: Verdict, language: Language) -> None:
    words = Words(language)
    for explanation in (handmade(verdict=verdict, against="bad"), handmade(verdict=verdict, steps=None)):
        lines = [
            words.say(row, f".{kind}") for row in sayings.rows(explanation) for kind in ("label", "value", "meaning")
        ]
        lines += [words.say(reason) for reason in sayings.reasons(explanation.certificate)]
        assert all(lines)
        assert not any("{" in line for line in lines)
        assert {"sha256:" + "a1" * 32, "b2" * 16} <= set(lines)


def test_the_page_gives_the_limits_that_the_verdict_is_judged_by() -> None:
    rows = {row.key: row.numbers.get("limit") for row in sayings.rows(handmade())}
    assert (rows["row.complete"], rows["row.orders"], rows["row.randomisation"]) == ("0.1", "0.05", "0.3")


def test_amounts_have_the_decimals_that_the_largest_needs() -> None:
    assert Scale.of([0.001, -2.34567]).written(-2.34567) == "−2.346"
    assert Scale.of([0.0123456]).written(0.0123456) == "+0.01235"
    assert Scale.of([]).written(0.0) == "+0.000"
    assert rounded(1.8125, 3) == "1.813"  # a tie, as JavaScript's toFixed rounds it
    scale = Scale.of([2.0, math.inf])
    assert [scale.step(amount) for amount in (2.0, -2.0, 0.1, math.nan)] == [STEPS, STEPS, 0, 0]


def test_the_strongest_are_those_that_were_read_and_are_not_zero() -> None:
    units = handmade([("a", 0.0), ("b", None), ("c", -2.0), ("d", 1.0)]).attributions
    assert listed(units) == [2, 3]


def test_no_probability_is_called_certain_that_is_not() -> None:
    assert [percent(p) for p in (1.0, 0.99996, 0.561, 0.0001, 0.0)] == ["100.0", "> 99.9", "56.1", "< 0.1", "0.0"]


@pytest.mark.parametrize(
    ("prediction", "text"),
    [
        ("good", "good"),
        (3.5, "3.5"),
        (["a", "b"], "a, b"),
        ([{"text": "London", "label": "LOC"}], "London (LOC)"),
        ({"grammar": 3, "style": 4.5}, "grammar: 3, style: 4.5"),
        ("", ""),
        ([], ""),
    ],
)
def test_an_answer_of_any_task_is_told_as_text(prediction: object, text: str) -> None:
    assert sayings.answer(handmade(answer={"prediction": prediction})) == text


def test_a_notebook_speaks_the_language_of_the_locale(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("LC_ALL", raising=False)
    monkeypatch.delenv("LC_MESSAGES", raising=False)
    monkeypatch.setenv("LANG", "zh_CN.UTF-8")
    assert language_here() == "zh"
    assert "回答：" in handmade()._repr_html_()
    monkeypatch.setenv("LC_ALL", "C")
    assert language_here() == "en"
