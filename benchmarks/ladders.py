"""The ladder of `wenlu compare` on real data: is the recipe's own model worth it beside cheap ones?

    python benchmarks/ladders.py [SET...] [--again]      climbs what is missing; writes docs/results.md

What a ladder came to is kept in `docs/results/ladder-SET.json`; the models stand in `.make/ladders`.
"""

from __future__ import annotations

import argparse
import json
import sys
import time
from datetime import UTC, datetime
from pathlib import Path

from results import KEPT, ROOT, machine, told, wenlu, written
from results_data import LADDERS, SETS

RUNS = ROOT / ".make" / "ladders"


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("sets", nargs="*", metavar="SET", help=f"of {', '.join(LADDERS)}; all where none is named")
    parser.add_argument("--again", action="store_true", help="climb what is there already, too")
    args = parser.parse_args()
    unknown = [name for name in args.sets if name not in LADDERS]
    if unknown:
        parser.error(f"{unknown[0]!r} has no ladder; there are {', '.join(LADDERS)}")
    for name in args.sets or LADDERS:
        kept = KEPT / f"ladder-{name}.json"
        if args.again or not kept.exists():
            kept.write_text(json.dumps(climbed(name), ensure_ascii=False, indent=1) + "\n", encoding="utf-8")
        written()
    return 0


def climbed(name: str) -> dict[str, object]:
    """One ladder, as a user climbs it; and what the page needs of it."""
    chosen, out = SETS[name], RUNS / name
    began = time.perf_counter()
    peak, _ = wenlu("compare", f"recipes/{chosen.recipe}.toml", "--out", str(out), *chosen.ladder_overrides)
    found = json.loads((Path(out) / "ladder.json").read_text(encoding="utf-8"))
    kept = ("split", "n", "headline", "budget_seconds", "verdict", "rungs", "left_out", "pairs", "ablation", "shown")
    return {
        "set": name,
        "date": datetime.now(UTC).strftime("%Y-%m-%d"),
        "commit": told("git", "describe", "--always", "--dirty"),
        "machine": machine(),
        "seconds": time.perf_counter() - began,
        "peak_bytes": peak,
        **{key: found[key] for key in kept},
    }


if __name__ == "__main__":
    sys.exit(main())
