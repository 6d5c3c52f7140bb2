"""What `results.py` shows of a finished run besides its scores: what it wrote, and how it does elsewhere."""

from __future__ import annotations

import json
import random
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
from results_files import libreoffice_pairs

SHOWN, ELSEWHERE = 30, 1000


def outputs(run: Path) -> str:
    """A random draw of held-out examples as a table: what was read, what the model wrote, what a person wrote."""
    from wenlu.corpus.prepare import read_split
    from wenlu.lifecycle.examples import surveyed
    from wenlu.tasks.labelled.task import value_of

    config = surveyed(run)
    asked, wanted = (role.name for role in config.roles[:2])
    told = {row["id"]: row for row in map(json.loads, (run / "evaluation.jsonl").read_text("utf-8").splitlines())}
    records = [record for record in read_split(run / "data", "test") if record.id in told]
    drawn = random.Random(0).sample(records, min(SHOWN, len(records)))
    rows = [(value_of(it, asked, config), told[it.id]["prediction"], value_of(it, wanted, config)) for it in drawn]
    lines = [f"| {' | '.join(_cell(part) for part in row)} |" for row in rows]
    return (
        f"{len(lines)} held-out examples, drawn at random:\n\n| {asked} | model | {wanted} |\n|---|---|---|\n"
        + "\n".join(lines)
    )


def help_scores(run: Path) -> str:
    """The score on a draw of LibreOffice's help, which is nothing like what was learnt."""
    from wenlu.lifecycle.examples import surveyed

    columns = surveyed(run).columns
    path = run.parent / "libreoffice-drawn.jsonl"
    pairs = libreoffice_pairs(run.parent).read_text("utf-8").splitlines()
    path.write_text("\n".join(random.Random(0).sample(pairs, ELSEWHERE)) + "\n", encoding="utf-8")
    settings = [f"data.{role}={column}" for role, column in columns.items() if role in ("source", "target")]
    command = [sys.executable, "-m", "wenlu", "evaluate", str(run / "model"), f"data.test={path}", *settings, "--json"]
    told = json.loads(subprocess.run(command, stdout=subprocess.PIPE, text=True, check=True).stdout.splitlines()[-1])
    scores = "; ".join(
        f"{it['name']} {it['value']:.2f} ({it['low']:.2f} to {it['high']:.2f})"
        for it in told["metrics"]
        if it["low"] is not None
    )
    return f"On {ELSEWHERE:,} paragraphs of LibreOffice's help, drawn at random: {scores}."


def by_language(run: Path) -> str:
    """Recall of names in each language, both ways; candidates are those of all languages."""
    from wenlu.evaluation.bootstrap import interval
    from wenlu.tasks.image_text_retrieval import MEASURES

    rows = [json.loads(line) for line in (run / "evaluation.jsonl").read_text("utf-8").splitlines()]
    lines = []
    for language in sorted({_language(row) for row in rows}):
        own = [row for row in rows if _language(row) == language]
        columns = {f"{of}_ranks": np.array([row[f"{of}_rank"] for row in own], float) for of in ("image", "text")}
        found = [interval(metric, columns, [row["cluster"] for row in own]) for metric in MEASURES]
        cells = (f"{each.value:.3f} ({each.low:.3f} to {each.high:.3f})" for each in found)
        lines.append(f"| {language} | {len(own):,} | {' | '.join(cells)} |")
    heads = " | ".join(metric.name.replace("_", " ") for metric in MEASURES)
    return f"By language:\n\n| names | n | {heads} |\n|{'---|' * (2 + len(MEASURES))}\n" + "\n".join(lines)


def _language(row: dict[str, Any]) -> str:
    return str(row["source"]).rpartition("-")[2]


def captions(run: Path) -> str:
    """A random draw of what was written, beside what pictures are called."""
    rows = [json.loads(line) for line in (run / "evaluation.jsonl").read_text("utf-8").splitlines()]
    from wenlu.corpus.prepare import read_split

    names = {record.id: record.text for record in read_split(run / "data", "test")}
    drawn = random.Random(0).sample([row for row in rows if "prediction" in row], SHOWN)
    lines = [f"| {_cell(names[row['id']])} | {_cell(row['prediction'])} |" for row in drawn]
    return f"{SHOWN} held-out pictures, drawn at random:\n\n| name | model |\n|---|---|\n" + "\n".join(lines)


def _cell(text: str | None) -> str:
    words = " ".join((text or "").split()).replace("|", "\\|").replace("<", "&lt;")
    return words if len(words) <= 300 else words[:300] + " …"
