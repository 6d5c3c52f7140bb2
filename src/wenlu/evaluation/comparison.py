"""Compare systems that were scored on the same examples, in pairs: what `wenlu evaluate` kept of each is enough."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import asdict, dataclass, field
from itertools import combinations
from pathlib import Path
from typing import Any

import numpy as np

from wenlu.bundle import model_path
from wenlu.errors import DataError, UsageError
from wenlu.evaluation.bootstrap import RESAMPLES, paired_difference
from wenlu.evaluation.facts import LABEL, NUMBER
from wenlu.evaluation.kept import FILE, Kept
from wenlu.evaluation.linear.stored import FOLDER as LINEAR
from wenlu.evaluation.linear.stored import linear_task
from wenlu.evaluation.paired_tests import McNemar, holm, mcnemar, randomisation
from wenlu.evaluation.slices import Slice, slices
from wenlu.evaluation.written import LIKELIHOOD
from wenlu.metrics import BITS_PER_BYTE, Metric
from wenlu.rundir.atomic import write_text
from wenlu.tasks import CausalLM, GenerativeTask, LabelledTask, load_task
from wenlu.tokenizers import Tokenizer

ONE_BY_ONE = "correct"
"""The column of tasks whose examples are right or wrong, one by one."""
TOLD = ("source", "script", NUMBER, LABEL)
GOLD = "gold"
"""The column of the right labels, by number."""
FOLDS = "folds"
"""Below a cross-validated run, the runs of its folds, which alone have models."""
TOKENS = "tokens"
"""The column of metrics that count a tokenizer's own tokens."""


@dataclass(frozen=True)
class Answers:
    """What is kept of one evaluation.

    Attributes:
        metrics: of the task, the headline first. facts: told of each example.
        conventions: of each metric, without what each model has of its own.
    """

    name: str
    task: str
    split: str
    metrics: tuple[Metric, ...]
    kept: Kept
    facts: tuple[dict[str, Any], ...]
    conventions: dict[str, str]

    @classmethod
    def read(cls, run: Path) -> Answers:
        """Those in the folder of a run.

        Raises UsageError where it was not evaluated, DataError where what was kept is damaged.
        """
        if not run.is_dir():
            raise UsageError(f"{run}: no such run")
        if not (run / "evaluation.json").is_file():
            raise UsageError(f"{run}: holds no evaluation; make one with: wenlu evaluate {run} --out {run}")
        told = _told(run / "evaluation.json")[0]
        if not (run / FILE).is_file():
            raise UsageError(
                f"{run}: its evaluation kept no answers to pair, as those of objectives, word vectors and of earlier "
                f"versions; for a task: wenlu evaluate {run} --out {run}"
            )
        return cls.of(str(run), run, _metrics(Path(told.get("of", run))), told)

    @classmethod
    def of(cls, name: str, folder: Path, metrics: tuple[Metric, ...], told: dict[str, Any] | None = None) -> Answers:
        """Those that a folder keeps, by metrics that are known; raises DataError."""
        told = _told(folder / "evaluation.json")[0] if told is None else told
        kept = Kept.read(folder)
        rows = {row["id"]: row for row in _told(folder / "evaluation.jsonl", by_line=True)}
        return cls(
            name=name,
            task=told["task"],
            split=told["split"],
            metrics=metrics,
            kept=kept,
            facts=tuple(rows.get(id, {}) for id in kept.ids),
            conventions={metric.name: _convention(metric, told) for metric in metrics},
        )


@dataclass(frozen=True)
class Pair:
    """The first of two systems minus the second, by one metric.

    Attributes:
        p_value: of the paired bootstrap. randomised: of approximate randomisation. corrected: that one, for how many
            pairs were compared (Holm).
        one_by_one: McNemar's test, where examples are right or wrong and none is a near-duplicate of another.
        slices: the same for parts of the examples, by source, script, length and label.
        verdict: "better" and "worse" of the first; "not distinguishable" where the corrected p-value says so.
    """

    a: str
    b: str
    metric: str
    value: float
    low: float | None
    high: float | None
    p_value: float | None
    randomised: float
    corrected: float
    one_by_one: McNemar | None
    verdict: str
    slices: tuple[Slice, ...]


@dataclass(frozen=True)
class Comparison:
    """Attributes:
    values: of each metric, that of each system.
    pairs: of the headline metric.
    """

    task: str
    split: str
    n: int
    clusters: int
    systems: tuple[str, ...]
    headline: str
    better: str
    values: dict[str, list[float]]
    pairs: tuple[Pair, ...]
    confidence: float
    left_out: tuple[str, ...] = field(default=())

    def to_json(self) -> dict[str, Any]:
        return asdict(self)

    def sentences(self) -> list[str]:
        """What the pairs come to, in words."""
        said = []
        for pair in self.pairs:
            if pair.verdict == "not distinguishable":
                said.append(f"{pair.a} and {pair.b} are not distinguishable at n = {self.n:,} ({self.headline}).")
            else:
                said.append(f"{pair.a} is {pair.verdict} than {pair.b} ({self.headline}, p = {pair.corrected:.4f}).")
        return said


def compare(
    runs: Sequence[str | Path], *, confidence: float = 0.95, resamples: int = RESAMPLES, seed: int = 0
) -> Comparison:
    """Compare what several runs answered to the same examples.

    Raises:
        UsageError: fewer than two runs, one without an evaluation, other tasks, other examples, or other conventions.
        DataError: what was kept is damaged.
    """
    if len(runs) < 2:
        raise UsageError(f"{runs[0] if runs else 'nothing'}: is one run; name two or more to compare")
    systems = [Answers.read(Path(run)) for run in runs]
    return compare_answers(systems, confidence=confidence, resamples=resamples, seed=seed)


def compare_answers(
    systems: Sequence[Answers],
    pairs: Sequence[tuple[int, int]] | None = None,
    *,
    sliced: bool = True,
    confidence: float = 0.95,
    resamples: int = RESAMPLES,
    seed: int = 0,
) -> Comparison:
    """Compare what several systems answered to the same examples; the errors are those of `compare`.

    Args:
        pairs: the places of those to compare; by default each with each.
        sliced: compare parts of the examples, too.
    """
    first = systems[0]
    for other in systems[1:]:
        _check(first, other)
    headline = first.metrics[0]
    shared = [
        metric for metric in first.metrics if len({system.conventions.get(metric.name) for system in systems}) == 1
    ]
    if headline not in shared:
        told = " and ".join(repr(system.conventions[headline.name]) for system in systems[:2])
        raise UsageError(f"{headline.name}: scored by {told}, which cannot be subtracted")
    are_single = len(set(first.kept.clusters)) == len(first.kept.clusters)
    found = []
    for place_a, place_b in combinations(range(len(systems)), 2) if pairs is None else pairs:
        a, b = systems[place_a], systems[place_b]
        difference = paired_difference(
            headline,
            a.kept.columns,
            b.kept.columns,
            first.kept.clusters,
            confidence=confidence,
            resamples=resamples,
            seed=seed,
        )
        chance = randomisation(headline, a.kept.columns, b.kept.columns, first.kept.clusters, seed=seed)
        counted = None
        if are_single and ONE_BY_ONE in a.kept.columns and a.kept.columns[ONE_BY_ONE].ndim == 1:
            counted = mcnemar(a.kept.columns[ONE_BY_ONE], b.kept.columns[ONE_BY_ONE])
        parts: tuple[Slice, ...] = ()
        if sliced:
            parts = slices(headline, a.kept.columns, b.kept.columns, first.kept.clusters, first.facts, seed)
        found.append((a.name, b.name, difference, chance, counted, parts))
    corrected = holm([chance for _, _, _, chance, *_ in found])
    judged = []
    for (a_name, b_name, difference, chance, counted, parts), strict in zip(found, corrected, strict=True):
        is_better = (difference.value > 0) == (headline.better == "higher")
        verdict = "not distinguishable" if strict > 1 - confidence else "better" if is_better else "worse"
        shown = (difference.value, difference.low, difference.high, difference.p_value)
        judged.append(Pair(a_name, b_name, headline.name, *shown, chance, strict, counted, verdict, parts))
    return Comparison(
        task=first.task,
        split=first.split,
        n=len(first.kept.digests),
        clusters=len(set(first.kept.clusters)),
        systems=tuple(system.name for system in systems),
        headline=headline.name,
        better=headline.better,
        values={metric.name: [metric.compute(system.kept.columns) for system in systems] for metric in shared},
        pairs=tuple(judged),
        confidence=confidence,
        left_out=tuple(metric.name for metric in first.metrics if metric not in shared),
    )


def write_items(runs: Sequence[str | Path], out: Path) -> None:
    """Write a line for each example with what each run answered, those first on which the runs do not agree.

    Raises UsageError, DataError as `compare`.
    """
    systems = [Answers.read(Path(run)) for run in runs]
    lines = []
    for place, id in enumerate(systems[0].kept.ids):
        told = {key: value for key, value in systems[0].facts[place].items() if key in TOLD}
        answers = {
            system.name: {
                key: value for key, value in system.facts[place].items() if key not in (*TOLD, "id", "cluster")
            }
            for system in systems
        }
        first, *others = (answer.get("prediction") for answer in answers.values())
        agree = all(other == first for other in others)
        lines.append((agree, {"id": id, **told, "agree": agree, "answers": answers}))
    lines.sort(key=lambda line: line[0])
    write_text(out, "".join(json.dumps(line, ensure_ascii=False) + "\n" for _, line in lines))


def _told(path: Path, *, by_line: bool = False) -> list[dict[str, Any]]:
    """The objects of a file of JSON, or of its lines; raises DataError."""
    try:
        text = path.read_text(encoding="utf-8")
        return [json.loads(part) for part in (text.splitlines() if by_line else [text])]
    except (OSError, ValueError) as error:
        raise DataError(f"{path}: damaged ({error}); evaluate again") from error


def _metrics(run: Path) -> tuple[Metric, ...]:
    if (run / LINEAR).is_dir():
        return linear_task(run / LINEAR).measures()
    folds = sorted((run / FOLDS).glob("seed-*")) if not (run / "model").is_dir() else []
    folder = model_path(str(folds[0] if folds else run))
    task = load_task(folder, Tokenizer.load(folder)) or CausalLM()
    if isinstance(task, GenerativeTask) and task.by_likelihood:
        return LIKELIHOOD
    if isinstance(task, LabelledTask):
        return task.measures()
    assert isinstance(task, CausalLM), f"{run} kept columns of {task.name}"
    return (BITS_PER_BYTE, *(metric for metric in task.metrics if metric is not BITS_PER_BYTE))


def _convention(metric: Metric, told: dict[str, Any]) -> str:
    """The metric's own signature; of one that counts tokens, with whose tokens these are."""
    if TOKENS not in metric.needs:
        return metric.signature
    signed = next((score["signature"] for score in told["metrics"] if score["name"] == metric.name), "")
    return "|".join([metric.signature, *(part for part in signed.split("|") if part.startswith("tok:"))])


def _check(a: Answers, b: Answers) -> None:
    if a.task != b.task:
        raise UsageError(f"{a.name} was scored at {a.task} and {b.name} at {b.task}, which cannot be compared")
    if a.kept.digests != b.kept.digests:
        common = len({*a.kept.digests} & {*b.kept.digests})
        raise UsageError(
            f"{a.name} and {b.name} were scored on other examples: {len(a.kept.digests):,} and "
            f"{len(b.kept.digests):,}, of which {common:,} are the same; give both the same data.test=FILE"
        )
    if GOLD in a.kept.columns and not np.array_equal(a.kept.columns[GOLD], b.kept.columns[GOLD]):
        raise UsageError(f"{a.name} and {b.name} number their labels otherwise: train both on the same labels")
