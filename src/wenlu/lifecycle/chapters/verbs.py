"""Each verb as a chapter: its settings' file and its folder in, what it came to out."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from wenlu.errors import ParityError
from wenlu.evaluation.comparison import compare as compared
from wenlu.lifecycle import verbs
from wenlu.lifecycle.chapters.settings import Chapter, Verb
from wenlu.lifecycle.compressing.sweep import compress
from wenlu.lifecycle.evaluate import evaluate
from wenlu.lifecycle.search.tune import tune
from wenlu.lifecycle.served import serving
from wenlu.lifecycle.served_parity import served_parity
from wenlu.lifecycle.verbs import RunSummary
from wenlu.progress import Progress


@dataclass(frozen=True)
class Work:
    """What a chapter has to do; folders of earlier chapters stand in it already.

    Attributes:
        file: its settings, where its verb reads some.
    """

    name: str
    chapter: Chapter
    file: Path
    out: Path
    progress: Progress


@dataclass(frozen=True)
class Outcome:
    """Metrics, sentences and a page of a chapter."""

    metrics: tuple[dict[str, Any], ...] = ()
    lines: tuple[str, ...] = ()
    page: str | None = None


def _data(work: Work) -> Outcome:
    found = verbs.data(work.file, work.out, progress=work.progress)
    parts = ", ".join(f"{name} {split.records:,}" for name, split in found.splits.items())
    return Outcome(lines=(f"{found.read:,} records read, {found.kept:,} kept: {parts}",))


def _pretrain(work: Work) -> Outcome:
    return _of_life(verbs.pretrain(work.file, work.out, progress=work.progress))


def _finetune(work: Work) -> Outcome:
    return _of_life(verbs.finetune(work.file, work.out, progress=work.progress))


def _of_life(found: RunSummary) -> Outcome:
    page = "report.html" if (found.path / "report.html").is_file() else None
    if found.evaluation is None:
        losses = found.values("validation/loss") or found.values("loss")
        last = f"loss {list(losses.values())[-1]:.4f} after {list(losses)[-1]:,} steps" if losses else ""
        return Outcome(lines=(last,) if last else (), page=page)
    headline, baseline = found.evaluation["headline"], found.evaluation.get("baseline")
    if baseline is None:
        return Outcome((headline,), page=page)
    verdict = found.evaluation["difference"]["verdict"]
    said = f"{headline['name']} {headline['value']:.4f}, the baseline {baseline['value']:.4f}: {verdict}"
    return Outcome((headline, {**baseline, "name": "baseline"}), (said,), page)


def _tune(work: Work) -> Outcome:
    found = tune(work.file, work.out, progress=work.progress)
    values = ", ".join(f"{key} = {value}" for key, value in found.best.settings.items())
    return Outcome(lines=(f"{len(found.rows)} trials; best: {values}",))


def _compare(work: Work) -> Outcome:
    if work.chapter.runs:
        found = compared(work.chapter.runs)
        values = found.values[found.headline]
        metrics = tuple(
            {"name": f"{Path(run).name}.{found.headline}", "value": value, "n": found.n, "better": found.better}
            for run, value in zip(work.chapter.runs, values, strict=True)
        )
        return Outcome(metrics, tuple(found.sentences()))
    ladder = verbs.ladder(work.file, work.out, progress=work.progress)
    return Outcome(tuple(ladder.to_json()["metrics"]), (ladder.verdict,))


def _evaluate(work: Work) -> Outcome:
    run = work.chapter.runs[0]
    found = evaluate(run, out=Path(run), progress=work.progress).to_json()
    return Outcome((found["headline"],))


def _compress(work: Work) -> Outcome:
    found = compress(work.file, work.out, progress=work.progress)
    lines = tuple(f"{row.name}: {row.bytes / 1e6:.1f} MB, {row.verdict}" for row in found.rows)
    return Outcome(tuple(found.to_json()["metrics"]), lines)


def _serve(work: Work) -> Outcome:
    """Start a server, let it answer held-out texts, and compare with the model of the folder; then end it."""
    lines = []
    run = next(iter(work.chapter.runs), None)
    with serving(work.chapter.models, log=work.out / "server.log", progress=work.progress) as server:
        for model in work.chapter.models:
            found = served_parity(model, server, run=run, texts=work.chapter.texts, progress=work.progress)
            found.write(work.out)
            if not found.equal:
                raise ParityError(f"{model}: {found.sentence}; see {work.out / 'parity.json'}")
            lines.append(f"{Path(model).name}: {found.sentence}")
    return Outcome(lines=tuple(lines))


CHAPTERS: Mapping[Verb, Callable[[Work], Outcome]] = {
    "data": _data,
    "pretrain": _pretrain,
    "finetune": _finetune,
    "tune": _tune,
    "compare": _compare,
    "evaluate": _evaluate,
    "compress": _compress,
    "serve": _serve,
}
