"""An explanation as a notebook shows it: no script and no style sheet, and no colours but through what is behind them,
so that it looks right on white and on black."""

from __future__ import annotations

from collections.abc import Iterator

from wenlu.explanation.explanation import Attributed, Explanation
from wenlu.explanation.page.amounts import Scale, listed, rounded
from wenlu.explanation.page.page_words import Language
from wenlu.explanation.page.sayings import answer, explained, reasons, rows, sure, total, unread
from wenlu.explanation.page.words import Words, language_here
from wenlu.explanation.subject import Part
from wenlu.html import Content, Html, element, table

FOR, AGAINST = "40,120,220", "230,120,30"
"""Blue and orange, which people who confuse red and green tell apart."""
_BADGE = {"valid": "#1a7f37", "unconverged": "#8a5a00", "unfaithful": "#b3261e"}
_SOFT = "opacity:.75;margin:.2em 0"


def fragment(explanation: Explanation, language: Language | None = None) -> Html:
    """Self-contained markup; colours only where the verdict is valid.

    Args:
        language: by default that of the locale.
    """
    words = Words(language or language_here())
    attributions = explanation.attributions
    amounts = [each.attribution for each in attributions if each.attribution is not None]
    scale = Scale.of([*amounts, *(amount for _, amount in explanation.elsewhere)])
    is_valid = explanation.certificate.verdict == "valid"
    grey, adds_up = unread(explanation), total(explanation, scale)
    return element(
        "div",
        *_head(explanation, words),
        *(_text(explanation, part, scale, words, is_coloured=is_valid) for part in explanation.parts),
        None if is_valid else element("p", words("hidden", verdict=_verdict(explanation, words)), style=_SOFT),
        None if grey is None else element("p", words.say(grey), style=_SOFT),
        *(_strongest(explanation, scale, words) if is_valid else ()),
        None if adds_up is None else element("p", words.say(adds_up), style="margin:.4em 0"),
        _all(explanation, scale, words, is_valid=is_valid),
        _certificate(explanation, words),
        lang=words("lang"),
        style="line-height:1.6;max-width:60em;overflow-wrap:anywhere",
    )


def _head(explanation: Explanation, words: Words) -> Iterator[Html]:
    verdict = explanation.certificate.verdict
    badge = f"background:{_BADGE[verdict]};color:#fff;border-radius:.3em;padding:.1em .5em"
    means = words(f"verdict.{verdict}.means")
    yield element("p", element("strong", words(f"verdict.{verdict}"), style=badge), f" {means}", style="margin:.2em 0")
    told = reasons(explanation.certificate)
    if told:
        yield element("ul", *(element("li", words.say(reason)) for reason in told), style="margin:.2em 0")
    probability = sure(explanation)
    yield element(
        "p",
        words("answer.is"),
        element("strong", element("bdi", answer(explanation) or words("answer.none"))),
        None if probability is None else f" · {words.say(probability)}",
        style="margin:.2em 0",
    )
    yield element("p", words.say(explained(explanation)), style=_SOFT)


def _text(explanation: Explanation, part: Part, scale: Scale, words: Words, *, is_coloured: bool) -> Html:
    shown: list[Content] = []
    place = 0
    for unit in explanation.attributions:
        if unit.part != part.name:
            continue
        shown.append(part.text[place : unit.start])
        style = _style(unit, scale, is_signed=explanation.is_signed, is_coloured=is_coloured)
        title = said(unit, scale, words, is_signed=explanation.is_signed) if is_coloured else None
        shown.append(element("span", unit.text, title=title, style=style))
        place = unit.end
    shown.append(part.text[place:])
    name = f"{words.term(part.name)}: " if len(explanation.parts) > 1 else None
    text = element("span", *shown, style="white-space:pre-wrap", dir="auto")
    return element("p", None if name is None else element("strong", name), text, style="margin:.5em 0")


def said(unit: Attributed, scale: Scale, words: Words, *, is_signed: bool) -> str:
    """A unit and its amount, as it is read out."""
    if unit.attribution is None:
        return words("unit.unread", unit=unit.text)
    key = "unsigned" if not is_signed else "for" if unit.attribution > 0 else "against"
    error = "" if unit.error is None else words("error", error=rounded(unit.error, scale.places))
    key = key if unit.attribution else "none"
    return words(f"unit.{key}", unit=unit.text, amount=scale.written(unit.attribution) + error)


def _style(unit: Attributed, scale: Scale, *, is_signed: bool, is_coloured: bool) -> str | None:
    if unit.attribution is None:
        return "opacity:.75;text-decoration:underline dotted"
    step = scale.step(unit.attribution)
    if not is_coloured or not step:
        return None
    is_for = unit.attribution > 0 or not is_signed
    colour, line = (FOR, "solid") if is_for else (AGAINST, "dashed")
    return f"background:rgba({colour},{0.12 * step:.2f});border-bottom:2px {line} rgb({colour})"


def _strongest(explanation: Explanation, scale: Scale, words: Words) -> Iterator[Html]:
    yield element("p", element("strong", words("strongest")), style="margin:.4em 0 0")
    numbers = listed(explanation.attributions)
    units = (explanation.attributions[number] for number in numbers)
    lines = [
        _bar(unit.text, unit.attribution or 0.0, unit.error, explanation.is_signed, scale, words) for unit in units
    ]
    yield element("div", *lines) if lines else element("p", words("strongest.none"), style=_SOFT)
    if explanation.elsewhere:
        yield element("p", element("strong", words("elsewhere")), style="margin:.4em 0 0")
        yield element(
            "div",
            *(_bar(name, amount, None, explanation.is_signed, scale, words) for name, amount in explanation.elsewhere),
        )


def _bar(name: str, amount: float, error: float | None, is_signed: bool, scale: Scale, words: Words) -> Html:
    colour = FOR if amount > 0 or not is_signed else AGAINST
    length = 8 * min(1.0, abs(amount) / scale.largest)
    bar = element("span", style=f"display:inline-block;height:.7em;width:{length:.2f}em;background:rgb({colour})")
    spread = "" if error is None else words("error", error=rounded(error, scale.places))
    number = element("span", f"{scale.written(amount)}{spread} ", style="font-variant-numeric:tabular-nums")
    return element("div", number, bar, " ", element("bdi", name))


def _all(explanation: Explanation, scale: Scale, words: Words, *, is_valid: bool) -> Html:
    lines: list[list[Content]] = [
        [
            element("bdi", unit.text),
            words("legend.unread") if unit.attribution is None else scale.written(unit.attribution),
        ]
        for unit in explanation.attributions
    ]
    warning = None if is_valid else element("p", words("untrusted", verdict=_verdict(explanation, words)))
    amounts = table([words("unit"), words("amount")], lines, numeric=frozenset({1}))
    return element("details", element("summary", words("all")), warning, amounts)


def _certificate(explanation: Explanation, words: Words) -> Html:
    lines: list[list[Content]] = [
        [words.say(row, ".label"), words.say(row, ".value"), words.say(row, ".meaning")] for row in rows(explanation)
    ]
    header = [words(f"certificate.{key}") for key in ("what", "found", "means")]
    return element("details", element("summary", words("certificate")), table(header, lines))


def _verdict(explanation: Explanation, words: Words) -> str:
    return words(f"verdict.{explanation.certificate.verdict}")
