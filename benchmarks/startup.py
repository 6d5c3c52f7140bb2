"""How long `wenlu --help` takes as a whole process, and importing torch for comparison.

python benchmarks/startup.py
"""

from __future__ import annotations

import json
import statistics
import subprocess
import sys
import time

RUNS = 9


def seconds(*arguments: str) -> float:
    begin = time.perf_counter()
    subprocess.run([sys.executable, *arguments], stdout=subprocess.DEVNULL, check=True)
    return time.perf_counter() - begin


def main() -> None:
    commands = {"wenlu --help": ("-m", "wenlu", "--help"), "import torch": ("-c", "import torch")}
    rounds = [{name: seconds(*arguments) for name, arguments in commands.items()} for _ in range(RUNS)]
    medians = {name: round(statistics.median(each[name] for each in rounds), 3) for name in commands}
    print(json.dumps({"unit": f"seconds, median of {RUNS}", **medians}))


if __name__ == "__main__":
    main()
