"""A model and what was made of it beside each other: quality, size, speed, memory, and which are worth having."""

from __future__ import annotations

import json
import math
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from wenlu.bundle import Bundle, load
from wenlu.config import load as read_config
from wenlu.errors import UsageError
from wenlu.evaluation.comparison import Answers, Pair, compare_answers
from wenlu.evaluation.settings import EvaluateConfig
from wenlu.lifecycle.compressing.artefact import EVALUATIONS, Artefact, make, refused_all
from wenlu.lifecycle.compressing.settings import CompressConfig
from wenlu.lifecycle.compressing.speed import Speed, measure
from wenlu.lifecycle.compressing.texts import Texts
from wenlu.lifecycle.front_plot import Point, front_plot
from wenlu.lifecycle.ladder.outcome import bytes_below
from wenlu.lifecycle.ladder.standing import pareto
from wenlu.metrics import BITS_PER_BYTE, EXPECTED_CALIBRATION_ERROR, Metric
from wenlu.progress import QUIET, Progress
from wenlu.rundir import atomic
from wenlu.tasks import GenerativeTask, LabelledTask

RECORD = "compress.json"
PLOT = "pareto.svg"
MODEL = "model"


@dataclass(frozen=True)
class Row:
    """The model itself, or what a chain made of it.

    Attributes:
        scores: as `evaluation.json` has them, the headline first.
        on_front: nothing else that was kept is at least as good, as small, as fast and as sparing of memory, and
            better in one of these.
        against: the pair of it and the model; None of the model itself.
    """

    name: str
    verdict: str
    scores: tuple[dict[str, Any], ...]
    bytes: int
    speed: Speed | None
    artefact: Artefact | None
    against: Pair | None
    on_front: bool = False

    @property
    def value(self) -> float:
        found = self.scores[0]["value"]
        return math.nan if found is None else float(found)

    @property
    def calibration_error(self) -> float | None:
        return next((row["value"] for row in self.scores if row["name"] == EXPECTED_CALIBRATION_ERROR.name), None)


@dataclass(frozen=True)
class Sweep:
    """What `wenlu compress` found."""

    path: Path
    model: str
    headline: str
    better: str
    n: int
    rows: tuple[Row, ...]

    @property
    def kept(self) -> tuple[Row, ...]:
        return tuple(row for row in self.rows if row.artefact is not None and row.artefact.path is not None)

    def to_json(self) -> dict[str, Any]:
        """Plain data: `metrics` are the headline of each row, `pairs` each of what was made and the model."""
        return {
            "model": self.model,
            "headline": self.headline,
            "better": self.better,
            "n": self.n,
            "metrics": [{**row.scores[0], "name": f"{row.name}.{self.headline}"} for row in self.rows],
            "pairs": [asdict(row.against) for row in self.rows if row.against is not None],
            "artefacts": [_told(row) for row in self.rows],
        }


def compress(recipe: str | Path, out: Path, overrides: Sequence[str] = (), *, progress: Progress = QUIET) -> Sweep:
    """Make smaller models as a recipe says, each in `out/LABEL`, and compare them with their model.

    Writes `compress.json` and `pareto.svg` there, and scores below `evaluations/`.

    Args:
        recipe: a file with `[compress]`. overrides: of it; `model=…` says what is compressed.
        out: a folder that does not exist, is empty, or holds what this verb wrote, which is replaced.

    Raises:
        ParityError: nothing that was made answers as its kind should; nothing of it is left.
        UsageError, ConfigError, DataError, WeightsError: what does not fit, and where.
    """
    config = read_config(CompressConfig, Path(recipe), overrides)
    _refuse_foreign(out)
    model = load(config.model, task=config.task)
    texts = Texts.of(config, model, progress)
    if any(step.is_calibrated for chain in config.compress.methods for step in chain) and texts.calibration is None:
        raise UsageError(f"{config.model}: has no training texts to calibrate on; give some with data.train=FILE")
    own = _of_model(model, out, texts)
    made = [make(chain, out, model, texts, progress) for chain in config.compress.methods]
    if all(each.path is None for each in made):
        raise refused_all(made)
    found = _beside(own, made, _metrics(model), config, out)
    atomic.write_text(out / RECORD, json.dumps(found.to_json(), ensure_ascii=False, indent=2) + "\n")
    atomic.write_text(out / PLOT, front_plot([_point(row) for row in found.rows], found.headline, "megabytes") + "\n")
    return found


def _of_model(model: Bundle, out: Path, texts: Texts) -> Row:
    folder = out / EVALUATIONS / MODEL
    folder.mkdir(parents=True, exist_ok=True)
    texts.evaluate(model).save(folder)
    sweep = texts.config.compress
    speed = measure(model.path, sweep.measured_tokens) if sweep.measure else None
    size = bytes_below(model.path) if model.path.is_dir() else model.path.stat().st_size
    return Row(MODEL, "–", _scores(folder, _metrics(model)), size, speed, None, None)


def _beside(
    own: Row, made: Sequence[Artefact], metrics: tuple[Metric, ...], config: CompressConfig, out: Path
) -> Sweep:
    folders = [out / EVALUATIONS / MODEL, *(each.evaluation for each in made)]
    names = [MODEL, *(each.name for each in made)]
    systems = [Answers.of(name, folder, metrics) for name, folder in zip(names, folders, strict=True)]
    settings: EvaluateConfig = config.evaluate
    compared = compare_answers(
        systems,
        [(place, 0) for place in range(1, len(systems))],
        sliced=False,
        confidence=settings.confidence,
        resamples=settings.resamples,
        seed=settings.seed,
    )
    rows = [own]
    for each, pair in zip(made, compared.pairs, strict=True):
        scores = _scores(each.evaluation, metrics)
        rows.append(Row(each.name, each.verdict, scores, each.bytes, each.speed, each, pair))
    return Sweep(
        out, config.model, metrics[0].name, metrics[0].better, compared.n, _with_front(rows, metrics[0].better)
    )


def _with_front(rows: Sequence[Row], better: str) -> tuple[Row, ...]:
    sign = -1 if better == "higher" else 1
    there = [place for place, row in enumerate(rows) if row.verdict != "refused"]
    costs = []
    for place in there:
        row, speed = rows[place], rows[place].speed
        seconds = 0.0 if speed is None else 1 / (speed.written or speed.read)
        costs.append((sign * row.value, float(row.bytes), seconds, float(speed.peak_bytes if speed else 0)))
    front = {there[place] for place in pareto(costs)}
    return tuple(
        Row(**{**vars(row), "on_front": place in front}) if place in front else row for place, row in enumerate(rows)
    )


def _metrics(model: Bundle) -> tuple[Metric, ...]:
    """The headline first."""
    task = model.task
    if isinstance(task, LabelledTask):
        if isinstance(task, GenerativeTask):
            from wenlu.evaluation.written import LIKELIHOOD

            return LIKELIHOOD if task.by_likelihood else task.measures()
        return task.measures()
    causal = model.require_causal()
    return (BITS_PER_BYTE, *(metric for metric in causal.metrics if metric is not BITS_PER_BYTE))


def _scores(folder: Path, metrics: tuple[Metric, ...]) -> tuple[dict[str, Any], ...]:
    told = json.loads((folder / "evaluation.json").read_text(encoding="utf-8"))["metrics"]
    by_name = {row["name"]: row for row in told}
    return tuple(by_name[metric.name] for metric in metrics if metric.name in by_name)


def _point(row: Row) -> Point:
    told = row.scores[0]
    low, high = (row.value if told[end] is None else told[end] for end in ("low", "high"))
    what = row.name if row.verdict in ("–", "passed") else f"{row.name}, {row.verdict}"
    return Point(row.name, what, row.bytes / 1e6, row.value, low, high, row.on_front)


def _told(row: Row) -> dict[str, Any]:
    made = row.artefact
    told: dict[str, Any] = {
        "name": row.name,
        "verdict": row.verdict,
        "metrics": list(row.scores),
        "megabytes": round(row.bytes / 1e6, 3),
        "speed": None if row.speed is None else asdict(row.speed),
        "on_front": row.on_front,
    }
    if made is not None:
        told |= {
            "path": None if made.path is None else str(made.path),
            "chain": [step.model_dump(mode="json") for step in made.chain],
            "seconds": round(made.seconds, 3),
            "parity": made.parity.to_json(),
            "against_model": None if row.against is None else row.against.verdict,
            "layers": [asdict(layer) for layer in made.layers],
        }
    return told


def _refuse_foreign(out: Path) -> None:
    if out.exists() and not out.is_dir():
        raise UsageError(f"{out}: is a file; --out names a folder")
    known = {RECORD, EVALUATIONS}
    if out.is_dir() and any(out.iterdir()) and not known & {path.name for path in out.iterdir()}:
        raise UsageError(f"{out}: holds something that compress did not write; choose another --out")
