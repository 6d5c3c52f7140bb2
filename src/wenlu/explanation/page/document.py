"""The page: what the script reads and draws, and without scripts the first explanations as notebooks show them."""

from __future__ import annotations

from base64 import b64encode
from collections.abc import Sequence
from hashlib import sha256
from pathlib import Path

from wenlu import __version__
from wenlu.explanation.explanation import Explanation
from wenlu.explanation.page import data
from wenlu.explanation.page.attention import packed
from wenlu.explanation.page.fragment import fragment
from wenlu.explanation.page.words import WORDS, Words, language_here
from wenlu.html import Html, element, join
from wenlu.rundir import atomic

WITHOUT_SCRIPT = 20
"""Explanations that are there without scripts, too."""
_STATIC = Path(__file__).with_name("static")
_SCRIPTS = ("making.js", "text.js", "bars.js", "article.js", "weights.js", "heatmap.js", "list.js")


def write_page(path: Path, explanations: Sequence[Explanation], *, name: str) -> None:
    """One file with all of them.

    Args:
        name: of the model, as the heading has it.

    Raises ResourceError where it cannot be written.
    """
    atomic.write_text(path, page(explanations, name))


def page(explanations: Sequence[Explanation], name: str) -> Html:
    """The whole document; it may run its own script, known by its hash, and load nothing."""
    code = script()
    digest = b64encode(sha256(code.encode("utf-8")).digest()).decode("ascii")
    policy = (
        f"default-src 'none'; script-src 'sha256-{digest}'; style-src 'unsafe-inline'; base-uri 'none'; "
        "form-action 'none'"
    )
    words = Words(language_here())
    head = element(
        "head",
        element("meta", charset="utf-8"),
        element("meta", name="viewport", content="width=device-width, initial-scale=1"),
        element("meta", name="color-scheme", content="light dark"),
        element("meta", name="referrer", content="no-referrer"),
        element("meta", http_equiv="Content-Security-Policy", content=policy),
        element("title", f"{name} · {words('title')}"),
        element("style", Html((_STATIC / "page.css").read_text(encoding="utf-8"))),
    )
    first = explanations[:WITHOUT_SCRIPT]
    told = words("noscript", shown=f"{len(first):,}", all=f"{len(explanations):,}")
    body = element(
        "body",
        element("header", element("h1", element("bdi", name)), id="header"),
        element("noscript", element("p", told), *(fragment(explanation) for explanation in first)),
        element("div", id="content"),
        element("footer", id="footer"),
        _held("words", data.written(WORDS)),
        _held(
            "page", data.written({"name": name, "version": __version__, "list": list(map(data.entry, explanations))})
        ),
        *(_of(number, explanation) for number, explanation in enumerate(explanations)),
        element("script", Html(code)),
    )
    return join(Html("<!doctype html>\n"), element("html", head, body, lang=words("lang")), Html("\n"))


def script() -> str:
    """One after the other, as one that keeps its names to itself."""
    parts = [(_STATIC / name).read_text(encoding="utf-8") for name in _SCRIPTS]
    return "(() => {\n" + '"use strict";\n' + "".join(parts) + "})();"


def _of(number: int, explanation: Explanation) -> Html:
    own = _held(f"explanation-{number}", data.written(data.of(explanation)))
    if explanation.attention is None:
        return own
    return join(own, _held(f"attention-{number}", Html(packed(explanation.attention)), type="text/plain"))


def _held(name: str, content: Html, type: str = "application/json") -> Html:
    """What no browser runs."""
    return element("script", content, id=name, type=type)
