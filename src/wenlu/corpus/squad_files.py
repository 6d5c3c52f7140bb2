"""Write SQuAD's JSON: questions with their answers, and what a model answered, as the official scripts read them."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

from wenlu.corpus.record import Record
from wenlu.errors import DataError
from wenlu.rundir.atomic import write_text

_NEEDED = ("context", "answers", "id", "is_impossible")


def write_squad_predictions(path: Path, answers: Mapping[str, str]) -> None:
    """Replace `path` by one object from question id to answer; "" where the model says that there is none."""
    write_text(path, json.dumps(dict(answers), ensure_ascii=False, indent=0) + "\n")


def write_squad(path: Path, records: Iterable[Record]) -> None:
    """Replace `path` by a SQuAD 2.0 file of the questions, as the kind `squad` reads them with all columns in meta.

    Questions that follow each other on one context share a paragraph, and paragraphs of one title an article.

    Raises:
        DataError: a record lacks a column, or one is not what the kind `squad` leaves there.
        ResourceError: the file cannot be written; an old one stays as it was.
    """
    articles: list[dict[str, Any]] = []
    for record in records:
        question = _question(record)
        title, context = record.meta.get("title", ""), record.meta["context"]
        if not articles or articles[-1]["title"] != title:
            articles.append({"title": title, "paragraphs": []})
        paragraphs = articles[-1]["paragraphs"]
        if not paragraphs or paragraphs[-1]["context"] != context:
            paragraphs.append({"context": context, "qas": []})
        paragraphs[-1]["qas"].append(question)
    write_text(path, json.dumps({"version": "v2.0", "data": articles}, ensure_ascii=False) + "\n")


def _question(record: Record) -> dict[str, Any]:
    missing = [name for name in _NEEDED if name not in record.meta]
    if missing:
        raise DataError(
            f"{record.id}: no {missing[0]!r} in its meta, which a SQuAD file needs; read it with "
            f'kind = "squad", meta = {[*_NEEDED, "title"]}'
        )
    try:
        answers = [
            {"text": answer["text"], "answer_start": answer["start"]} for answer in json.loads(record.meta["answers"])
        ]
        impossible = {"true": True, "false": False}[record.meta["is_impossible"]]
    except (ValueError, KeyError, TypeError) as error:
        raise DataError(
            f"{record.id}: its answers, {record.meta['answers'][:60]}, are not a list of objects with text and start, "
            f"or its is_impossible, {record.meta['is_impossible'][:20]!r}, is not 'true' or 'false'"
        ) from error
    return {
        "id": record.meta["id"],
        "question": record.meta.get("question", record.text),
        "answers": answers,
        "is_impossible": impossible,
    }
