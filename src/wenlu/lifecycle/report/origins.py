"""The sections that say where the model comes from: settings, provenance, files."""

from __future__ import annotations

from typing import Any

from wenlu.html import Content, Html, element, join, table
from wenlu.lifecycle.report.facts import Facts, Table
from wenlu.lifecycle.report.numbers import number, size
from wenlu.lifecycle.report.words import Words

LONGEST_TABLE = 40


def settings(facts: Facts, words: Words) -> Html | None:
    """One small table a section of the settings."""
    top = {key: value for key, value in facts.settings.items() if not isinstance(value, dict)}
    sections = {words("settings.top"): top, **{k: v for k, v in facts.settings.items() if isinstance(v, dict)}}
    shown = [
        element("div", element("h3", name), _pairs(values), class_="group")
        for name, values in sections.items()
        if values
    ]
    return (
        join(element("p", words("settings.note"), class_="note"), element("div", *shown, class_="groups"))
        if shown
        else None
    )


def provenance(facts: Facts, words: Words) -> Html | None:
    if not facts.provenance:
        return None
    content = dict(facts.provenance)
    command = content.pop("command", None)
    shown = " ".join(map(str, command)) if isinstance(command, list) else command
    return join(
        element("p", words("provenance.command"), ": ", element("code", str(shown)), class_="command")
        if shown
        else None,
        _tree(content),
    )


def files(facts: Facts, words: Words) -> Html | None:
    if not facts.sizes:
        return None
    rows: list[list[Content]] = [[element("code", name), size(count)] for name, count in facts.sizes.items()]
    return table([words("files.name"), words("files.size")], rows, numeric=frozenset({1}))


def absent(facts: Facts, words: Words) -> Html | None:
    lines = [
        words("absent.broken", name=name, reason=reason) if reason else words("absent.missing", name=name)
        for name, reason in facts.absent
    ]
    return element("ul", *(element("li", line) for line in lines), class_="note") if lines else None


def _tree(content: Table) -> Html:
    """Single values as pairs; anything deeper under a heading of its own."""
    single = {key: value for key, value in content.items() if not isinstance(value, (dict, list))}
    groups: list[Html] = []
    if single:
        groups.append(element("div", _pairs(single), class_="group"))
    for key, value in content.items():
        if isinstance(value, (dict, list)) and value:
            groups.append(element("div", element("h3", _label(key)), _value_table(value), class_="group"))
    return element("div", *groups, class_="groups")


def _value_table(value: Any) -> Html:
    return _pairs(_flat(value)) if isinstance(value, dict) else element("p", _text(value))


def _pairs(values: Table) -> Html:
    rows = [
        element("tr", element("th", _label(key), scope="row"), element("td", _text(value, key)))
        for key, value in list(values.items())[:LONGEST_TABLE]
    ]
    return element("table", element("tbody", *rows), class_="pairs")


def _flat(content: Table, prefix: str = "") -> Table:
    flat: Table = {}
    for key, value in content.items():
        if isinstance(value, dict):
            flat |= _flat(value, f"{prefix}{key} ")
        else:
            flat[f"{prefix}{key}"] = value
    return flat


def _text(value: Any, key: str = "") -> str:
    """A value as one reads it; one whose key ends in bytes as a size."""
    match value:
        case int() if key.endswith("bytes") and not isinstance(value, bool):
            return size(value)
        case float():
            return f"{value:.6g}"
        case list() | dict() if not value:
            return "–"
        case bool():
            return str(value).lower()
        case list():
            return (" · " if any(isinstance(item, dict) for item in value) else ", ").join(map(_text, value))
        case dict():
            told = {name: item for name, item in value.items() if item not in (None, "", [], {})}
            return ", ".join(f"{name} = {_text(item, name)}" for name, item in told.items())
        case _:
            return number(value)


def _label(key: object) -> str:
    return str(key).replace("_", " ")
