from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from tests.distributed.course import prepare

PROOF = os.environ.get("WENLU_PROOF") == "1"

Ended = subprocess.CompletedProcess[str]


def start(folder: Path, processes: int, *actions: dict[str, Any], restarts: int = 0) -> Ended:
    """Have several processes do the actions, under torchrun."""
    (folder / "actions.json").write_text(json.dumps(actions))
    command = [sys.executable, "-m", "torch.distributed.run", "--standalone", f"--nproc-per-node={processes}"]
    command += [f"--max-restarts={restarts}", "--module", "tests.distributed.course", str(folder)]
    environment = {**os.environ, "OMP_NUM_THREADS": "1"}
    return subprocess.run(command, capture_output=True, text=True, timeout=600, env=environment)


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    made = tmp_path_factory.mktemp("processes")
    prepare(made)
    return made
