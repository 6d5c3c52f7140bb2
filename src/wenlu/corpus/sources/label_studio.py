"""Label Studio's JSON export (https://labelstud.io/guide/export): a list of tasks with their annotations.

A task is a row: what stands in its `data` by its own names, and `id`, `label` (the choice, or a list of several),
`entities` (a list of `{"start", "end", "label"}`), `score` (a number or rating) and `annotators`, which hide data of
the same names. The answer to each question is also a column of that question's name (`from_name`). Of several
annotators the first counts; cancelled annotations do not. `kind = "label-studio"` asks for it, as .json says nothing
of the layout.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any

from wenlu.corpus.columns import require_column, to_record
from wenlu.corpus.json_window import JsonWindow
from wenlu.corpus.reading import open_text
from wenlu.corpus.record import Drop, Record
from wenlu.corpus.source import Bad, FileKind, Read, SourceFile, SourceSpec


def _read(file: SourceFile, spec: SourceSpec) -> Iterator[Read]:
    columns: dict[str, None] = {}  # in the order of their first appearance
    with open_text(file.path, spec.encoding) as stream:
        for number, task in enumerate(JsonWindow(stream, file, spec).values(), start=1):
            id = f"{file.id}:{number}"
            try:
                row = _row(task, spec.text)
            except ValueError as error:
                yield Bad(id, "malformed task", str(error))
                continue
            if row is None:
                yield Drop(Record("", id), "source", "not annotated")
                continue
            if not columns:
                require_column(spec.text, row, setting="text", where=f"{file.path}, task {number}")
            columns.update(dict.fromkeys(row))
            yield to_record(row, id, spec)
    if columns:
        for name in spec.meta:
            require_column(name, columns, setting=spec.setting_of(name), where=str(file.path))


def _row(task: Any, text: str) -> dict[str, Any] | None:
    """None where nobody has annotated the task; raises ValueError where it is none."""
    match task:
        case {"data": dict() as data, "annotations": list() as annotations}:
            pass
        case _:
            raise ValueError(f"{_short(task)} is not an object with data and annotations")
    if not all(isinstance(annotation, dict) for annotation in annotations):
        raise ValueError(f"its annotations are {_short(annotations)}, not a list of objects")
    done = [annotation for annotation in annotations if not annotation.get("was_cancelled")]
    if not done:
        return None
    results = done[0].get("result")
    if not isinstance(results, list):
        raise ValueError(f"the result of its annotation is {_short(results)}, not a list")
    own: dict[str, Any] = {"id": task.get("id"), "label": None, "entities": [], "score": None, "annotators": len(done)}
    asked: dict[str, Any] = {}
    for result in results:
        match result:
            case {"type": "choices", "value": {"choices": list() as choices} as value} if "start" not in value:
                if not choices or not all(isinstance(choice, str) for choice in choices):
                    raise ValueError(f"its choices are {_short(choices)}, not a list of strings")
                answer = choices[0] if len(choices) == 1 else choices
                asked.setdefault(str(result.get("from_name", "label")), answer)
                own["label"] = answer if own["label"] is None else own["label"]
            case {"type": "number" | "rating" as type, "value": dict() as value}:
                score = value.get(type)
                if not isinstance(score, int | float) or isinstance(score, bool):
                    raise ValueError(f"its {type} is {_short(score)}, not a number")
                asked.setdefault(str(result.get("from_name", "score")), score)
                own["score"] = score if own["score"] is None else own["score"]
            case {"type": "labels", "value": {"labels": list() as labels} as value}:
                start, end = _span(value, data.get(text))
                if not all(isinstance(label, str) for label in labels):
                    raise ValueError(f"its labels are {_short(labels)}, not a list of strings")
                own["entities"] += [{"start": start, "end": end, "label": label} for label in labels]
            case {"type": "choices" | "labels", "value": value} if not isinstance(value, dict):
                raise ValueError(f"the value of a result is {_short(value)}, not an object")
    own["entities"].sort(key=lambda entity: (entity["start"], entity["end"]))
    return {**data, **asked, **own}


def _span(value: dict[str, Any], text: Any) -> tuple[int, int]:
    """First character and the one after the last, as Python counts; browsers may count beyond U+FFFF twice."""
    start, end, marked = value.get("start"), value.get("end"), value.get("text")
    if not isinstance(text, str):
        raise ValueError("it marks a span of a text that is not in its data; name the text's column")
    if not (type(start) is int and type(end) is int and 0 <= start < end):
        raise ValueError(f"it marks a span from {_short(start)} to {_short(end)}")
    wanted = marked.replace("\\n", "\n") if isinstance(marked, str) else None
    if end <= len(text) and wanted in (None, text[start:end]):
        return start, end
    units = text.encode("utf-16-le", "surrogatepass")
    before, found = (
        units[2 * first : 2 * last].decode("utf-16-le", "surrogatepass" if first == 0 else "replace")
        for first, last in ((0, start), (start, end))
    )
    if 2 * end <= len(units) and wanted == found:
        return len(before), len(before) + len(found)
    raise ValueError(f"the span from {start} to {end} is {text[start:end][:60]!r}, not {_short(marked)}")


def _short(value: Any) -> str:
    return json.dumps(value, ensure_ascii=False)[:60]


KIND = FileKind("label-studio", (), _read, columnar=True)
