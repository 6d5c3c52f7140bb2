from __future__ import annotations

import json
import os
import socket
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


def start_alone(folder: Path, processes: int, *actions: dict[str, Any]) -> list[str]:
    """Have several processes do the actions, with no agent over them; returns what each said to its end."""
    (folder / "actions.json").write_text(json.dumps(actions))
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    started = []
    for rank in range(processes):
        place = {"RANK": rank, "LOCAL_RANK": rank, "WORLD_SIZE": processes, "LOCAL_WORLD_SIZE": processes}
        place |= {"MASTER_ADDR": "127.0.0.1", "MASTER_PORT": port, "OMP_NUM_THREADS": 1}
        environment = {**os.environ, **{name: str(value) for name, value in place.items()}}
        command = [sys.executable, "-m", "tests.distributed.course", str(folder)]
        started.append(subprocess.Popen(command, stderr=subprocess.PIPE, text=True, env=environment))
    return [process.communicate(timeout=600)[1] for process in started]


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    made = tmp_path_factory.mktemp("processes")
    prepare(made)
    return made
