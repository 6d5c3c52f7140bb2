"""Answers to questions in the layout that SQuAD's official scripts read: one object from id to answer."""

from __future__ import annotations

import json
import time
from collections.abc import Iterable
from pathlib import Path
from typing import IO, Any

from wenlu.corpus.squad_files import write_squad_predictions
from wenlu.errors import DataError, UsageError
from wenlu.generation.predict import PredictSummary
from wenlu.progress import Progress
from wenlu.rundir.atomic import write_text

NULL_ODDS = ".null-odds.json"
"""Beside the answers: how probable it is that a question has none, which the script for SQuAD 2.0 reads too."""


def write_as_squad(
    lines: Iterable[dict[str, Any]], out: Path | IO[str], *, overwrite: bool, progress: Progress
) -> PredictSummary:
    """Write all answers at once, "" where there is none or it is withheld; a row that is bad is warned of and left out.

    Raises:
        UsageError: the file is there already.
        DataError: two questions have one id.
    """
    if isinstance(out, Path) and out.exists() and not overwrite:
        raise UsageError(f"{out}: is there already; --overwrite replaces it (SQuAD's layout is written in one go)")
    begin = time.perf_counter()
    answers: dict[str, str] = {}
    odds: dict[str, float] = {}
    rows, errors = 0, 0
    progress.start("predict", unit="rows")
    for rows, line in enumerate(lines, start=1):
        progress.update(rows)
        if "error" in line:
            errors += 1
            progress.warn(f"{line['id']}: {line['error']}")
            continue
        if line["id"] in answers:
            raise DataError(f"two questions have the id {line['id']!r}, and SQuAD's layout has one answer for each")
        answers[line["id"]] = line["prediction"] or ""
        if "no_answer" in line:
            odds[line["id"]] = line["no_answer"]
    if isinstance(out, Path):
        out.parent.mkdir(parents=True, exist_ok=True)
        write_squad_predictions(out, answers)
        if odds:
            write_text(out.with_name(out.stem + NULL_ODDS), json.dumps(odds, indent=0) + "\n")
    else:
        out.write(json.dumps(answers, ensure_ascii=False) + "\n")
    summary = PredictSummary(rows, errors, 0, time.perf_counter() - begin)
    progress.finish(str(summary))
    return summary
