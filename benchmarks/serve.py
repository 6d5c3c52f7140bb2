"""The server under load and faults: `make bench-serve`; `QUICK=1` in five minutes, without the soak.

Writes `benchmarks/serving.md`, goes on from `.make/serving/found.json`, and ends with one JSON object.
"""

from __future__ import annotations

import argparse
import json
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

from serving import faults, http_alone, under_load
from serving.page import write_page
from serving.servers import real

ROOT = Path(__file__).parents[1]
WORK = ROOT / ".make" / "serving"
FOUND = WORK / "found.json"
TINY = WORK / "tiny"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--quick", action="store_true", help="shorter, without the soak, and nothing is written")
    parser.add_argument("--only", nargs="*", help="some of the measurements, anew")
    given = parser.parse_args()
    WORK.mkdir(parents=True, exist_ok=True)
    models, model = [f"tiny={TINY}"], "tiny"
    _make_tiny()
    log, scale = WORK / "server.log", 0.15 if given.quick else 1.0
    measures: dict[str, Callable[[], dict[str, float]]] = {
        "requests": lambda: http_alone.requests_a_second(log, 20 * scale),
        "events": lambda: http_alone.events_a_second(log, 64 if given.quick else 256),
        "added": lambda: http_alone.added_to_a_token(log, 30 * scale),
        "together": lambda: under_load.together(models, model, log, 10 * scale),
        "prefix": lambda: under_load.read_before(models, model, log, 1200),
        "overload": lambda: under_load.overloaded(models, model, log, 60 * scale),
        "spared": lambda: under_load.overloaded(models, model, log, 60 * scale, "engine.threads=1"),
        "slow": lambda: faults.slow_clients(models, model, log, 60 * scale),
        "disconnects": lambda: faults.disconnects(models, model, log, int(200 * scale)),
        "killed": lambda: {
            **faults.engine_killed(models, model, log, 2 if given.quick else 5),
            "load_seconds": _load(models, log),
        },
    }
    if not given.quick:
        measures["soak"] = lambda: under_load.soak(models, model, log, 1800)
    found = json.loads(FOUND.read_text()) if FOUND.exists() and not given.quick else {}
    for name, measure in measures.items():
        if name in found and name not in (given.only or ()):
            continue
        if given.only and name not in given.only:
            continue
        print(f"{name} …", file=sys.stderr, flush=True)
        found[name] = measure()
        print(f"{name}: {json.dumps(found[name])}", file=sys.stderr, flush=True)
        if not given.quick:
            FOUND.write_text(json.dumps(found, indent=1))
            write_page(ROOT / "benchmarks" / "serving.md", found, "make bench-serve")
    print(json.dumps(found))


def _load(models: list[str], log: Path) -> float:
    begin = time.perf_counter()
    with real(models, log=log):
        return time.perf_counter() - begin


def _make_tiny() -> None:
    if (TINY / "config.json").exists():
        return
    run = WORK / "run"
    sizes = [
        "train.duration=2 steps",
        "model.max_position_embeddings=4096",
        "train.start=random",
        "check=false",
        "data.train={path='stdlib', limit=200}",
    ]
    command = [sys.executable, "-m", "wenlu", "pretrain", "recipes/quickstart.toml", *sizes, "--out", str(run)]
    subprocess.run(command, check=True, cwd=ROOT)
    subprocess.run([sys.executable, "-m", "wenlu", "export", str(run), "--out", str(TINY)], check=True, cwd=ROOT)


if __name__ == "__main__":
    main()
