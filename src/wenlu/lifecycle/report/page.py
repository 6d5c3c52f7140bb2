"""The report as one page: heading, key figures, sections."""

from __future__ import annotations

from pathlib import Path

from wenlu import __version__
from wenlu.html import Html, element, join
from wenlu.lifecycle.report import answers, augmentation, corpus, forgetting, origins, results, sources, transfer
from wenlu.lifecycle.report.facts import Facts
from wenlu.lifecycle.report.numbers import amount, is_number, number
from wenlu.lifecycle.report.words import Words

SECTIONS = (
    ("curves", results.curves),
    ("evaluation", results.evaluation),
    ("sources", sources.sources),
    ("forgetting", forgetting.forgetting),
    ("transfer", transfer.transfer),
    ("architectures", results.architectures),
    ("answers", answers.answers),
    ("samples", results.samples),
    ("costs", results.costs),
    ("data", corpus.data),
    ("augmentation", augmentation.augmentation),
    ("settings", origins.settings),
    ("provenance", origins.provenance),
    ("files", origins.files),
    ("absent", origins.absent),
)

POLICY = "default-src 'none'; style-src 'unsafe-inline'; base-uri 'none'; form-action 'none'"
"""The page may load nothing and run nothing, whatever a model wrote into its samples."""


def page(facts: Facts, words: Words, run_name: str) -> Html:
    """The whole document."""
    name = str(facts.settings.get("name") or run_name or words("untitled"))
    sections = [(key, content) for key, build in SECTIONS if (content := build(facts, words)) is not None]
    head = element(
        "head",
        element("meta", charset="utf-8"),
        element("meta", name="viewport", content="width=device-width, initial-scale=1"),
        element("meta", name="color-scheme", content="light dark"),
        element("meta", name="referrer", content="no-referrer"),
        element("meta", http_equiv="Content-Security-Policy", content=POLICY),
        element("title", f"{name} · {words('title')}"),
        element("style", Html(Path(__file__).with_name("style.css").read_text(encoding="utf-8"))),
    )
    body = element(
        "body",
        element(
            "header",
            element("p", words("title"), class_="kind"),
            element("h1", element("bdi", name)),
            element("p", summary(facts, words), class_="summary"),
            _figures(facts, words),
        ),
        element(
            "nav",
            *(element("a", words(f"section.{key}"), href=f"#{key}") for key, _ in sections),
            aria_label=words("contents"),
        ),
        element("main", *(_section(key, content, words) for key, content in sections)),
        element("footer", element("p", words("footer", version=__version__, name=run_name))),
    )
    return join(Html("<!doctype html>\n"), element("html", head, body, lang=words("lang")), Html("\n"))


def summary(facts: Facts, words: Words) -> str:
    """What was made, from how much, and whether it beats its baseline."""
    model, vectors = (facts.settings.get(section) for section in ("model", "vectors"))
    family = model.get("family") if isinstance(model, dict) else None
    if isinstance(vectors, dict):
        family = vectors.get("algorithm")
    text = words("summary.model.unknown")
    if family and facts.parameters:
        text = words("summary.model", family=str(family), parameters=amount(facts.parameters))
    if facts.tokens:
        text += words("summary.training", time=words.time(facts.seconds), tokens=amount(facts.tokens))
    marks = {mark.is_main: mark for mark in results.baseline_marks(facts, words)}
    if True in marks:
        name, value = results.headline_name(facts, words), number(marks[True].value)
        is_causal = results.continues(facts)
        text += (
            words("summary.score", bits=value)
            if is_causal
            else words("summary.score.objective", score=name, value=value)
        )
    text += words("summary.end")
    if True in marks and False in marks:
        text += ("" if words("lang").startswith("zh") else " ") + words(
            f"summary.{_verdict(facts)}{'' if results.continues(facts) else '.objective'}",
            baseline=number(marks[False].value),
            system=results.baseline_name(facts, words),
        )
    return text


def _verdict(facts: Facts) -> str:
    """Better or worse only where the paired interval leaves no doubt."""
    paired = results.difference(facts)
    if not (is_number(paired.get("low")) and is_number(paired.get("high"))):
        return "baseline"
    if paired["low"] <= 0 <= paired["high"]:
        return "open"
    return "better" if (paired["low"] > 0) == results.is_better_higher(facts) else "worse"


def _figures(facts: Facts, words: Words) -> Html | None:
    shown = []
    for mark in results.baseline_marks(facts, words):
        other = words("figure.baseline") if results.continues(facts) else results.baseline_name(facts, words)
        label = results.headline_name(facts, words) if mark.is_main else other
        note = (
            words("figure.interval", percent=facts.percent, low=number(mark.low), high=number(mark.high))
            if mark.low < mark.high
            else None
        )
        shown.append(_figure(number(mark.value), label, note, "main" if mark.is_main else None))
    if facts.parameters:
        shown.append(_figure(amount(facts.parameters), words("figure.parameters")))
    if facts.tokens:
        shown.append(_figure(amount(facts.tokens), words("figure.tokens")))
        shown.append(_figure(words.time(facts.seconds), words("figure.time")))
    return element("dl", *shown, class_="figures") if shown else None


def _figure(value: str, label: str, note: str | None = None, kind: str | None = None) -> Html:
    extra = element("dd", note, class_="note") if note else None
    return element("div", element("dt", label), element("dd", value, class_="value"), extra, class_=kind)


def _section(key: str, content: Html, words: Words) -> Html:
    return element("section", element("h2", words(f"section.{key}")), content, id=key)
