"""Fuzzers that are guided by coverage find nothing: `make test` runs them briefly, `make proof-hostile` for long."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

HERE = Path(__file__).parent
RUNS = 200_000 if os.environ.get("WENLU_PROOF") == "1" else 300
TARGETS = sorted(path.stem for path in HERE.glob("fuzz_*.py"))


@pytest.mark.parametrize("name", TARGETS)
@pytest.mark.timeout(3000)
def test_a_fuzzer_finds_nothing(name: str, tmp_path: Path) -> None:
    command = [sys.executable, str(HERE / f"{name}.py"), f"-runs={RUNS}", "-seed=7", f"-artifact_prefix={tmp_path}/"]
    # A process between the two: what the fuzzer counts of its memory begins with what its parent had.
    command = ["sh", "-c", '"$@"; exit $?', "sh", *command]
    done = subprocess.run(command, capture_output=True, text=True, errors="replace", cwd=tmp_path, check=False)
    assert done.returncode == 0, done.stdout[-3000:] + done.stderr[-3000:]
    assert f"Done {RUNS} runs" in done.stderr, done.stderr[-1000:]
