"""What `wenlu plan` says, beside what happens: ten recipes, each planned and trained in processes of their own.

Writes benchmarks/plan.md. The goal: within 15 % on memory and 25 % on time. Run it with nothing else to do.

    python benchmarks/plan.py [NAME]...     those alone, and nothing is written
"""

from __future__ import annotations

import json
import subprocess
import sys
import tempfile
import time
from pathlib import Path

HERE = Path(__file__).parent
MEMORY, TIME = 0.15, 0.25
RECIPES = {
    "classify": ["train.duration=300 steps"],
    "newsgroups": ["train.duration=60 steps"],
    "reviews-zh": ["train.duration=200 steps"],
    "spam": ["train.duration=200 steps"],
    "embed": ["train.duration=60 steps"],
    "answer": ["train.duration=30 steps"],
    "translate": ["train.duration=150 steps"],
    "summarise": ["train.duration=100 steps"],
    "quickstart": ["train.duration=200 steps"],
    "poems-zh": ["train.duration=200 steps"],
}


def wenlu(*arguments: str) -> None:
    subprocess.run([sys.executable, "-m", "wenlu", *arguments], check=True, stdout=subprocess.DEVNULL)


def measured(name: str) -> dict[str, float]:
    """By which fraction the plan was off."""
    recipe, settings = str(HERE.parent / "recipes" / f"{name}.toml"), RECIPES[name]
    with tempfile.TemporaryDirectory() as folder:
        wenlu("plan", recipe, *settings, "--out", folder)
        wenlu("pretrain", recipe, *settings, "--out", folder)
        plan = json.loads((Path(folder) / "plan.json").read_text())
    return {**plan["error"], "took": plan["happened"]["seconds"]}


def main() -> None:
    names = sys.argv[1:] or [name for name in RECIPES if (HERE.parent / "recipes" / f"{name}.toml").exists()]
    lines = ["| recipe | memory | time | disk | seconds |", "|---|---|---|---|---|"]
    met = 0
    for name in names:
        found = measured(name)
        memory, seconds = found.get("memory", 1.0), found.get("seconds", 1.0)
        met += abs(memory) <= MEMORY and abs(seconds) <= TIME
        lines.append(f"| {name} | {memory:+.1%} | {seconds:+.1%} | {found.get('disk', 0):+.1%} | {found['took']:.0f} |")
        print(lines[-1], flush=True)
    lines.append(f"\n{met} of {len(names)} within {MEMORY:.0%} on memory and {TIME:.0%} on time.")
    if not sys.argv[1:]:
        head = f"# Plans beside what happened\n\n`make bench-plan`, {time.strftime('%Y-%m-%d')}.\n\n"
        (HERE / "plan.md").write_text(head + "\n".join(lines) + "\n")
    print(lines[-1])


if __name__ == "__main__":
    main()
