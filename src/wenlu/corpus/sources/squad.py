"""Questions about texts: the JSON of SQuAD 1.1 and 2.0 (Rajpurkar et al. 2018, arXiv:1806.03822), or flat lists of it.

A question is a row of the columns `text` and `question` (both the question), `context`, `answers` (a list of
`{"text", "start"}`), `id`, `title` and `is_impossible`. An answer that does not stand at its start is moved to the
nearest place where it does. Read article by article. `kind = "squad"` asks for it, as .json says nothing of the layout
and a guess from the first article would read a file of many layouts wrongly.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any

from wenlu.corpus.columns import require_column, to_record
from wenlu.corpus.json_window import JsonWindow
from wenlu.corpus.reading import open_text
from wenlu.corpus.source import Bad, FileKind, Read, SourceFile, SourceSpec
from wenlu.errors import DataError

_NAMES = ("text", "question", "context", "answers", "id", "title", "is_impossible")


def _read(file: SourceFile, spec: SourceSpec) -> Iterator[Read]:
    for setting, name in (("text", spec.text), *((spec.setting_of(name), name) for name in spec.meta)):
        require_column(name, _NAMES, setting=setting, where=str(file.path))
    with open_text(file.path, spec.encoding) as stream:
        questions = (question for value in _articles(stream, file, spec) for question in _flatten(value))
        for number, question in enumerate(questions, start=1):
            id = f"{file.id}:{number}"
            try:
                row = _row(question, number)
            except ValueError as error:
                yield Bad(id, "malformed question", str(error))
            else:
                yield to_record(row, id, spec)


def _articles(stream: Any, file: SourceFile, spec: SourceSpec) -> Iterator[Any]:
    """The elements of `data`, or of a plain list, without holding more than one of them."""
    window = JsonWindow(stream, file, spec)
    if window.peek() != "{":
        yield from window.values()
        return
    window.take("{")
    names: list[str] = []
    while window.peek() != "}":
        if names:
            window.take(",")
        name = window.value()
        window.take(":")
        if not isinstance(name, str) or name in names:
            raise window.error(f"a new key is expected, not {json.dumps(name, ensure_ascii=False)[:60]}")
        names.append(name)
        if name == "data" and window.peek() == "[":
            yield from window.elements()
        else:
            window.value()
    window.take("}")
    if "data" not in names:
        raise DataError(
            f"{file.path}: not SQuAD's layout, as its object has no 'data' but "
            f"{', '.join(map(repr, names)) or 'nothing'}; questions that each have their context are a list, [ … ]"
        )
    if window.peek():
        raise window.error("something follows the object")


def _flatten(value: Any) -> Iterator[Any]:
    """The questions of an article, a paragraph or a flat row, each with its title and context; else what there is."""
    if not isinstance(value, dict) or not ("paragraphs" in value or "qas" in value):
        yield value
        return
    paragraphs = value.get("paragraphs", [value])
    for paragraph in paragraphs if isinstance(paragraphs, list) else [paragraphs]:
        match paragraph:
            case {"qas": list() as questions}:
                shared = {"title": value.get("title"), "context": paragraph.get("context")}
                for question in questions:
                    yield {**shared, **question} if isinstance(question, dict) else question
            case _:
                yield paragraph


def _row(question: Any, number: int) -> dict[str, Any]:
    """Raises ValueError that names the key."""
    if not isinstance(question, dict):
        raise ValueError(f"{_short(question)} where an article, paragraph or question is expected")
    for name in ("question", "context"):
        if not isinstance(question.get(name), str):
            raise ValueError(f"its {name} is {_short(question.get(name))}, not a string")
    answers = [_placed(answer, question["context"]) for answer in _answers(question.get("answers", []))]
    impossible = question.get("is_impossible", "answers" in question and not answers)
    if not isinstance(impossible, bool):
        raise ValueError(f"its is_impossible is {_short(impossible)}, not true or false")
    if impossible and answers:
        raise ValueError(f"it is_impossible, yet has the answer {answers[0]['text'][:60]!r}")
    id = question.get("id", number)
    title = question.get("title")
    return {
        "text": question["question"],
        "question": question["question"],
        "context": question["context"],
        "answers": answers,
        "id": id if isinstance(id, str) else json.dumps(id, ensure_ascii=False),
        "title": title if isinstance(title, str) else "",
        "is_impossible": impossible,
    }


def _answers(value: Any) -> list[tuple[Any, Any]]:
    """Text and start of each answer, of a list of objects or of an object of two lists."""
    match value:
        case {"text": list() as texts, "answer_start": list() as starts} if len(texts) == len(starts):
            return list(zip(texts, starts, strict=True))
        case list() if all(isinstance(answer, dict) for answer in value):
            return [(answer.get("text"), answer.get("answer_start")) for answer in value]
    raise ValueError(f"its answers are {_short(value)}, not a list of objects with text and answer_start")


def _placed(answer: tuple[Any, Any], context: str) -> dict[str, Any]:
    text, start = answer
    if not isinstance(text, str) or not text:
        raise ValueError(f"the text of an answer is {_short(text)}")
    if not isinstance(start, int) or isinstance(start, bool):
        raise ValueError(f"the answer {text[:60]!r} has the answer_start {_short(start)}, not a whole number")
    start = max(0, start)
    if context.startswith(text, start):
        return {"text": text, "start": start}
    before, after = context.rfind(text, 0, start + len(text)), context.find(text, start)
    found = [place for place in (before, after) if place >= 0]
    if not found:
        raise ValueError(f"the answer {text[:60]!r} does not stand in its context, {context[:60]!r}")
    return {"text": text, "start": min(found, key=lambda place: abs(place - start))}


def _short(value: Any) -> str:
    return json.dumps(value, ensure_ascii=False)[:60]


KIND = FileKind("squad", (), _read, columnar=True)
