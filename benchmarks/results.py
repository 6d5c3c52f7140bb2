"""What the recipes of tasks reach on real data: each set from one recipe, beside its baseline, over three seeds.

    python benchmarks/results.py SET [--seeds 3] [--again]     trains what is missing; writes docs/results.md
    python benchmarks/results.py --list

A run that is done is kept in `docs/results/SET-SEED.json`, and a call goes on with what is missing. The folders of the
runs stand in `.make/results`. Sets with terms of their own are trained because who calls this names them.
"""

from __future__ import annotations

import argparse
import json
import os
import platform
import shutil
import subprocess
import sys
import time
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from results_data import LADDERS, SETS, ResultSet
from results_page import page

ROOT = Path(__file__).parents[1]
KEPT = ROOT / "docs" / "results"
RUNS = ROOT / ".make" / "results"


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("sets", nargs="*", metavar="SET", help="all where none is named")
    parser.add_argument("--seeds", type=int, default=3)
    parser.add_argument("--again", action="store_true", help="train what is there already, too")
    parser.add_argument("--list", action="store_true", help="name the sets")
    args = parser.parse_args()
    if args.list:
        print("\n".join(f"{name:18}{each.title}" for name, each in SETS.items()))
        return 0
    unknown = [name for name in args.sets if name not in SETS]
    if unknown:
        parser.error(f"{unknown[0]!r} is no set; they are {', '.join(SETS)}")
    KEPT.mkdir(parents=True, exist_ok=True)
    for name in args.sets or SETS:
        for seed in range(args.seeds):
            if args.again or not kept(name, seed).exists():
                found = trained(name, SETS[name], seed)
                kept(name, seed).write_text(json.dumps(found, ensure_ascii=False, indent=1) + "\n", encoding="utf-8")
            written()
    return 0


def kept(name: str, seed: int) -> Path:
    return KEPT / f"{name}-{seed}.json"


def written() -> None:
    """The page of all that is kept."""
    found = {
        name: [json.loads(path.read_text(encoding="utf-8")) for path in sorted(KEPT.glob(f"{name}-[0-9].json"))]
        for name in SETS
    }
    climbed = [KEPT / f"ladder-{name}.json" for name in LADDERS]
    ladders = [json.loads(path.read_text(encoding="utf-8")) for path in climbed if path.exists()]
    explained = [json.loads(path.read_text(encoding="utf-8")) for path in sorted(KEPT.glob("explained-*.json"))]
    (ROOT / "docs" / "results.md").write_text(page(SETS, found, ladders, explained), encoding="utf-8")


def trained(name: str, chosen: ResultSet, seed: int) -> dict[str, Any]:
    """One run of the recipe, as a user starts it; and what it found."""
    out = RUNS / f"{name}-{seed}"
    shutil.rmtree(out, ignore_errors=True)
    RUNS.mkdir(parents=True, exist_ok=True)
    files = chosen.files(RUNS) if chosen.files else {}
    overrides = [*chosen.overrides, *(f"{key}={source}" for key, source in files.items()), f"seed={seed}"]
    began = time.perf_counter()
    peak, processor = wenlu("finetune", f"recipes/{chosen.recipe}.toml", "--out", str(out), *overrides)
    seconds = time.perf_counter() - began
    evaluation = json.loads((out / "evaluation.json").read_text(encoding="utf-8"))
    last = json.loads((out / "events.jsonl").read_text(encoding="utf-8").splitlines()[-1])
    return {
        "set": name,
        "seed": seed,
        "date": datetime.now(UTC).strftime("%Y-%m-%d"),
        "commit": told("git", "describe", "--always", "--dirty"),
        "machine": machine(),
        "recipe": chosen.recipe,
        "overrides": chosen.overrides,
        "seconds": seconds,
        "processor_seconds": processor,
        "training": {key: last[key] for key in ("step", "tokens", "seconds")},
        "peak_bytes": peak,
        **{key: evaluation.get(key) for key in ("task", "split", "documents", "clusters", "headline", "baseline")},
        **{key: evaluation.get(key) for key in ("difference", "metrics")},
        "looks": [look(out) for look in chosen.looks] if seed == 0 else [],
    }


def wenlu(*words: str) -> tuple[int, float]:
    """The command line, in a process of its own, whose output stays on the terminal; the most memory it took, and its
    seconds on processors."""
    print("$ wenlu", *words, flush=True)
    process = subprocess.Popen([sys.executable, "-m", "wenlu", *words], cwd=ROOT)
    _, status, usage = os.wait4(process.pid, 0)
    code = process.returncode = os.waitstatus_to_exitcode(status)
    if code:
        sys.exit(f"wenlu {words[0]} ended with {code}")
    return usage.ru_maxrss * 1024, usage.ru_utime + usage.ru_stime


def told(*command: str) -> str:
    return subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=True).stdout.strip()


def machine() -> str:
    lines = Path("/proc/cpuinfo").read_text().splitlines() if Path("/proc/cpuinfo").exists() else []
    model = next(
        (line.partition(":")[2].strip() for line in lines if line.startswith("model name")), platform.machine()
    )
    flags = next((line for line in lines if line.startswith("flags")), "")
    return f"{model}, {os.cpu_count()} threads, {'AMX' if 'amx_bf16' in flags else 'no AMX'}"


if __name__ == "__main__":
    sys.exit(main())
