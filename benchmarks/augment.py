"""What augmentation gains: each way beside the same training without it, at several shares of the training part.

    python benchmarks/augment.py [--quick] [--seeds 3] [--sets reviews-zh spam] [--ways eda aeda …]

Both train the same small encoder from nothing for as many steps, with the same seed, on the same share of the training
part, and answer the same test part. The gain is paired by example; over seeds the examples of one text count as one, so
that the interval is of the texts, given these seeds; the gain of each seed stands beside it. What is done is kept in
`.make/augment`, and a call goes on with what is missing. Writes benchmarks/augment.md.
"""

from __future__ import annotations

import argparse
import json
import shutil
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import numpy as np

from wenlu.cli.progress import TerminalProgress
from wenlu.evaluation.bootstrap import paired_difference
from wenlu.evaluation.kept import Kept
from wenlu.lifecycle import verbs
from wenlu.metrics import ACCURACY

ROOT = Path(__file__).parents[1]
RUNS = ROOT / ".make" / "augment"
PAGE = Path(__file__).with_suffix(".md")
PLAIN = "plain"
MODEL = (
    'model={family = "bert", hidden_size = 128, intermediate_size = 512, num_hidden_layers = 2, '
    "num_attention_heads = 4}",
    'tokenizer={kind = "bpe", vocab_size = 2048}',  # what 5 % of the reviews support
)
WAYS = {
    "eda": "'eda'",
    "aeda": "'aeda'",
    "typos": "'typos'",
    "homophones": "'homophones'",
    "shapes": "'shapes'",
    "mixup": "",
}
CHINESE = ("homophones", "shapes")


@dataclass(frozen=True)
class Plan:
    """What is trained: shares of the training part, and steps of each run."""

    fractions: tuple[float, ...]
    steps: int


FULL = Plan((0.05, 0.1, 0.5, 1.0), 1000)
QUICK = Plan((0.02,), 10)
SETS = {"reviews-zh": "zh", "spam": "en"}


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--quick", action="store_true", help="a few steps of one way on one set; no page is written")
    parser.add_argument("--seeds", type=int, default=3)
    parser.add_argument("--sets", nargs="*", choices=SETS, default=list(SETS))
    parser.add_argument("--ways", nargs="*", choices=WAYS, default=list(WAYS))
    args = parser.parse_args()
    plan, sets, seeds, ways = FULL, args.sets, args.seeds, args.ways
    if args.quick:
        plan, sets, seeds, ways = QUICK, ["reviews-zh"], 1, ["typos"]
    rows = []
    for name in sets:
        for fraction in plan.fractions:
            for way in ways:
                if way in CHINESE and SETS[name] != "zh":
                    continue
                rows.append(gain(name, fraction, way, seeds, plan, quick=args.quick))
                print(told(rows[-1]), flush=True)
    if not args.quick:
        PAGE.write_text(page(rows, plan, seeds), encoding="utf-8")
    print(json.dumps({f"{row['set']}/{row['fraction']:g}/{row['way']}/gain": row["gain"] for row in rows}))
    return 0


def gain(name: str, fraction: float, way: str, seeds: int, plan: Plan, *, quick: bool) -> dict[str, Any]:
    """Accuracy with the way minus that without it, paired by example over all seeds."""
    columns: dict[str, list[np.ndarray[Any, Any]]] = {way: [], PLAIN: []}
    clusters: list[str] = []
    kept_labels = None
    for seed in range(seeds):
        found = {}
        for system in (PLAIN, way):
            run = trained(name, fraction, system, seed, plan, quick=quick)
            found[system] = Kept.read(run)
            columns[system].append(found[system].columns["correct"])
        assert found[PLAIN].digests == found[way].digests, "both answer the same examples"
        clusters += found[way].clusters
        kept_labels = preserved(RUNS / run.name) or kept_labels
    a, b = ({"correct": np.concatenate(columns[system])} for system in (way, PLAIN))
    paired = paired_difference(ACCURACY, a, b, clusters)
    each = [float(x.mean() - y.mean()) for x, y in zip(columns[way], columns[PLAIN], strict=True)]
    return {
        "set": name,
        "fraction": fraction,
        "way": way,
        "plain": ACCURACY.compute(b),
        "with": ACCURACY.compute(a),
        "gain": paired.value,
        "low": paired.low,
        "high": paired.high,
        "seeds": each,
        "kept": kept_labels,
    }


def trained(name: str, fraction: float, system: str, seed: int, plan: Plan, *, quick: bool) -> Path:
    """The run of one system; nothing is done twice."""
    run = RUNS / f"{'quick-' if quick else ''}{name}-{fraction:g}-{system}-{seed}"
    if (run / "evaluation.npz").exists():
        return run
    more = {
        PLAIN: [],
        "mixup": ["task.mixup=0.2", "task.mixup_in=embedding"],
    }.get(system, [f"augment.ways=[{WAYS.get(system, '')}]"])
    settings = [
        *MODEL,
        f"train.duration={plan.steps} steps",
        "train.budget=100 hours",
        "optimizer.lr=1e-3",
        f"data.fraction={fraction}",
        f"seed={seed}",
        "evaluate.baseline=false",
        *more,
    ]
    with TerminalProgress() as progress:
        verbs.finetune(ROOT / "recipes" / f"{name}.toml", run, settings, progress=progress)
    for part in ("checkpoints", "model", "data", "tokenizer"):
        shutil.rmtree(run / part, ignore_errors=True)  # the answers are enough
    return run


def preserved(run: Path) -> float | None:
    """The share of labels that the way of a run kept, as its linear model sees it."""
    path = run / "augmented.json"
    if not path.exists():
        return None
    kept = json.loads(path.read_text(encoding="utf-8"))["ways"][0]["kept"]
    return None if kept is None else float(kept["share"])


def told(row: dict[str, Any]) -> str:
    ends = f"{row['low']:+.4f} … {row['high']:+.4f}"
    return f"{row['set']} {row['fraction']:.0%} {row['way']}: {row['plain']:.4f} {row['gain']:+.4f} ({ends})"


def page(rows: Sequence[dict[str, Any]], plan: Plan, seeds: int) -> str:
    lines = [
        "# What augmentation gains",
        "",
        f"Measured on {datetime.now(UTC).date()} by `make bench-augment`, with and without each way: an encoder of two "
        f"layers from nothing, {plan.steps:,} steps, {seeds} seeds, on a share of the training part; accuracy on the "
        "test part. The gain is paired by example, its interval (95 %) is of the texts, given these seeds. Label kept: "
        "of the changed texts, as a linear model sees it.",
        "",
        "| set | share | way | without | with | gain | interval | of each seed | label kept |",
        "|---|---|---|---|---|---|---|---|---|",
    ]
    for row in rows:
        each = ", ".join(f"{value:+.3f}" for value in row["seeds"])
        kept = "–" if row["kept"] is None else f"{row['kept']:.1%}"
        lines.append(
            f"| {row['set']} | {row['fraction']:.0%} | {row['way']} | {row['plain']:.4f} | {row['with']:.4f} | "
            f"{row['gain']:+.4f} | {row['low']:+.4f} … {row['high']:+.4f} | {each} | {kept} |"
        )
    return "\n".join(lines) + "\n"


if __name__ == "__main__":
    sys.exit(main())
