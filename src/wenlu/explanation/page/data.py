"""What the script of the page reads: explanations as plain data, made harmless for HTML."""

from __future__ import annotations

import json
import math
from collections.abc import Iterator
from typing import Any

from wenlu.explanation.explanation import Explanation
from wenlu.explanation.page.amounts import Scale, listed
from wenlu.explanation.page.sayings import Saying, answer, explained, reasons, rows, sure, total, unread
from wenlu.html import Html, plain

BEGINNING = 60
"""Characters of a text in the list."""
Segment = str | list[Any]
"""What stands between units, or a unit: its text, its amount, and the error where it was sampled."""


def of(explanation: Explanation) -> dict[str, Any]:
    """All that is shown of one, but for the weights of its attention."""
    attributions, elsewhere = explanation.attributions, explanation.elsewhere
    amounts = [each.attribution for each in attributions if each.attribution is not None]
    scale = Scale.of([*amounts, *(amount for _, amount in elsewhere)])
    attention = explanation.attention
    return {
        "answer": answer(explanation),
        "sure": _plain(sure(explanation)),
        "target": explanation.told.target,
        "against": explanation.told.against,
        "explained": _plain(explained(explanation)),
        "verdict": explanation.certificate.verdict,
        "reasons": [_plain(reason) for reason in reasons(explanation.certificate)],
        "signed": explanation.is_signed,
        "largest": scale.largest,
        "places": scale.places,
        "parts": [[part.name, list(_segments(explanation, part.name, part.text))] for part in explanation.parts],
        "strongest": listed(attributions),
        "elsewhere": [[name, _number(amount)] for name, amount in elsewhere],
        "unread": _plain(unread(explanation)),
        "sum": _plain(total(explanation, scale)),
        "rows": [_plain(row) for row in rows(explanation)],
        "attention": None
        if attention is None
        else {"shape": list(attention.weights.shape[:2]), "tokens": list(attention.tokens)},
    }


def entry(explanation: Explanation) -> list[str]:
    """A line of the list: id, answer, verdict, how the text begins."""
    text = " ".join(part.text[: 2 * BEGINNING] for part in explanation.parts)
    text = " ".join(text.split())
    beginning = text if len(text) <= BEGINNING else text[: BEGINNING - 1] + "…"
    return [explanation.id, answer(explanation), explanation.certificate.verdict, beginning]


def written(value: Any) -> Html:
    """As JSON inside a script element, which no text can end."""
    text = json.dumps(_shown(value), ensure_ascii=False, separators=(",", ":"), allow_nan=False)
    return Html(text.replace("<", "\\u003c"))


def _segments(explanation: Explanation, name: str, text: str) -> Iterator[Segment]:
    place = 0
    for unit in explanation.attributions:
        if unit.part != name:
            continue
        if unit.start > place:
            yield text[place : unit.start]
        amount = None if unit.attribution is None else _number(unit.attribution)
        yield [unit.text, amount] if unit.error is None else [unit.text, amount, _number(unit.error)]
        place = unit.end
    if place < len(text):
        yield text[place:]


def _number(value: float) -> float | str:
    """JSON has no words for what is not finite; the page shows it as text."""
    return value if math.isfinite(value) else str(value)


def _plain(saying: Saying | None) -> list[Any] | None:
    return None if saying is None else [saying.key, dict(saying.numbers), dict(saying.terms)]


def _shown(value: Any) -> Any:
    """With control characters and marks of direction made visible in every text."""
    match value:
        case str():
            return plain(value)
        case list():
            return [_shown(each) for each in value]
        case dict():
            return {key: _shown(each) for key, each in value.items()}
        case _:
            return value
