"""Refuse source files over 600 lines, rooms without a noun, and folders named like a verb."""

from __future__ import annotations

import statistics
import subprocess
import sys
from pathlib import Path

LIMIT, WISH = 600, 150
NAMELESS = {"util", "utils", "helper", "helpers", "common", "misc", "constants"}
VERBS = {"run", "data", "tokenizer", "pretrain", "evaluate", "predict", "chat", "runs", "doctor", "check", "plan"}
VERBS |= {"finetune", "compare", "tune", "compress", "export", "explain", "audit", "serve", "parity"}


def main() -> int:
    listed = subprocess.run(
        ["git", "ls-files", "--cached", "--others", "--exclude-standard", "*.py"],
        capture_output=True,
        text=True,
        check=True,
    )
    paths = [Path(line) for line in listed.stdout.splitlines() if Path(line).exists()]
    lengths = {path: len(path.read_text(encoding="utf-8").splitlines()) for path in paths}
    problems = [f"{path}: {n} lines, over {LIMIT}; two nouns in one file?" for path, n in lengths.items() if n > LIMIT]
    for path in paths:
        nameless = NAMELESS.intersection((*path.parent.parts, path.stem))
        problems += [f"{path}: {name!r} says nothing; put it into the module of its noun" for name in nameless]
    for folder in Path("src/wenlu").iterdir():
        if folder.name in VERBS:
            problems.append(f"{folder}: a verb's name would hide the function wenlu.{folder.name}")
    package = [n for path, n in lengths.items() if path.parts[0] == "src"]
    if package and statistics.median(package) > WISH:
        problems.append(f"src: the median file has {statistics.median(package):.0f} lines, over {WISH}")
    print("\n".join(problems) or f"{len(paths)} files, longest {max(lengths.values())} lines")
    return 1 if problems else 0


if __name__ == "__main__":
    sys.exit(main())
