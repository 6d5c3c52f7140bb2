"""What each source buys: the recipe trained with all of them, and once without each."""

from __future__ import annotations

import json
import re
from collections.abc import Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

from wenlu.config import load
from wenlu.corpus.prepare import read_split
from wenlu.corpus.sources import name_of
from wenlu.errors import UsageError
from wenlu.evaluation.comparison import compare
from wenlu.evaluation.paired_tests import holm
from wenlu.lifecycle import verbs
from wenlu.lifecycle.examples import FILE as EXAMPLES
from wenlu.lifecycle.recipe import Recipe
from wenlu.progress import QUIET, Named, Progress
from wenlu.rundir import atomic

FILE = "ablation.json"
WHOLE = "whole"
CONFIDENCE = 0.95


@dataclass(frozen=True)
class Bought:
    """What a source buys: the score with all sources minus that without it, on the same held-out examples.

    Attributes:
        records: of the source in the training part.
        p_value: of approximate randomisation, corrected for how many sources were left out (Holm).
        verdict: "helps", "harms", or "not distinguishable".
    """

    source: str
    records: int
    run: str
    metric: str
    whole: float
    without: float
    difference: float
    low: float | None
    high: float | None
    p_value: float
    verdict: str

    def to_json(self) -> dict[str, Any]:
        return asdict(self)


def ablate_sources(
    recipe: str | Path, out: str | Path, overrides: Sequence[str] = (), *, progress: Progress = QUIET
) -> tuple[Bought, ...]:
    """Train the recipe with all sources in `out/whole`, and without each in `out/without-NAME`; write `ablation.json`.

    The split is made before a source is left out, so that all are scored on the same examples, those of the source
    among them. A second call goes on where the first was interrupted.

    Raises:
        UsageError: the recipe has a single source, several tasks, or no metrics to pair. The others are those of `run`.
    """
    recipe, out = Path(recipe), Path(out)
    settings = load(Recipe, recipe, overrides)
    if settings.members or settings.architectures is not None or settings.vectors is not None:
        raise UsageError(f"{recipe}: sources are left out of the training of one model; give a recipe of one")
    names = [name_of(spec) for spec in settings.own_data.train]
    if len(names) < 2:
        raise UsageError(f"{recipe}: has the single source {names[0]!r}; name two or more in data.train")
    verbs.run(recipe, out / WHOLE, overrides, progress=Named(WHOLE, progress))
    labels = _labels(out / WHOLE, settings)
    records = [record.meta["source"] for record in read_split(out / WHOLE / "data", "train")]
    found = []
    for name in names:
        run = out / ("without-" + re.sub(r"[^\w.-]+", "-", name))
        own = [*overrides, f"data.without={json.dumps([name])}", "evaluate.baseline=false", "check=false", *labels]
        verbs.run(recipe, run, own, progress=Named(f"without {name}", progress))
        found.append(_bought(name, records.count(name), out / WHOLE, run))
    corrected = holm([each.p_value for each in found])
    told = tuple(_judged(each, p_value) for each, p_value in zip(found, corrected, strict=True))
    rows = [each.to_json() for each in told]
    atomic.write_text(out / FILE, json.dumps(rows, ensure_ascii=False, indent=2) + "\n")
    return told


def _bought(name: str, records: int, whole: Path, without: Path) -> Bought:
    comparison = compare([whole, without], confidence=CONFIDENCE)
    (pair,) = comparison.pairs
    values = comparison.values[comparison.headline]
    gain = pair.value > 0 if comparison.better == "higher" else pair.value < 0
    return Bought(
        source=name,
        records=records,
        run=str(without),
        metric=comparison.headline,
        whole=values[0],
        without=values[1],
        difference=pair.value,
        low=pair.low,
        high=pair.high,
        p_value=pair.randomised,
        verdict="helps" if gain else "harms",
    )


def _judged(found: Bought, p_value: float) -> Bought:
    verdict = found.verdict if p_value <= 1 - CONFIDENCE else "not distinguishable"
    return replace(found, p_value=p_value, verdict=verdict)


def _labels(run: Path, settings: Recipe) -> list[str]:
    """The labels of all sources, where the task learns them: one that only this source has stays a possible answer."""
    if not settings.has_examples or "labels" not in type(settings.task).model_fields:
        return []
    told = json.loads((run / EXAMPLES).read_text(encoding="utf-8"))
    return [f"task.labels={json.dumps(told['task']['labels'], ensure_ascii=False)}"]
