"""Clients in virtual environments of their own, since no one environment holds them all."""

from __future__ import annotations

import os
import subprocess
import sys
import venv
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2] / ".make" / "clients"
CLIENTS: dict[str, tuple[str, ...]] = {
    "openai2": ("openai==2.54.0",),
    "openai3": ("openai==3.57.0",),
    "anthropic": ("anthropic==2.14.0",),
    "llm": ("llm==0.36",),
    "langchain_openai": ("langchain-openai==1.7.4",),
    "llama_index": ("llama-index-llms-openai==0.8.3", "llama-index-llms-openai-like==0.8.1"),
    "lm_eval": ("lm-eval[api]==0.4.13",),
}


def python_of(client: str) -> Path:
    """The interpreter of a client's environment, which is made where its packages have changed; skips where they cannot
    be fetched."""
    folder, wanted = ROOT / client, "\n".join(CLIENTS[client]) + "\n"
    python, mark = folder / "bin" / "python", folder / "installed.txt"
    if not mark.is_file() or mark.read_text() != wanted:
        venv.create(folder, clear=True, with_pip=True)
        told = subprocess.run(
            [python, "-m", "pip", "install", "--quiet", "--disable-pip-version-check", *CLIENTS[client]],
            capture_output=True,
            text=True,
            check=False,
            timeout=280,
        )
        if told.returncode:
            pytest.skip(f"{', '.join(CLIENTS[client])} cannot be installed: {told.stderr.strip()[-200:]}")
        mark.write_text(wanted)
    return python


def say(client: str, script: str, *arguments: str, folder: Path, timeout: float = 120) -> str:
    """What a script prints in a client's environment, which sees nothing of ours."""
    told = subprocess.run(
        [python_of(client), "-P", Path(__file__).parent / script, *arguments],
        cwd=folder,
        env={"PATH": os.environ["PATH"], "HOME": str(folder), "LLM_USER_PATH": str(folder), "NO_PROXY": "*"},
        capture_output=True,
        text=True,
        check=False,
        timeout=timeout,
    )
    assert told.returncode == 0, f"{client} ({sys.version_info.major}):\n{told.stdout}\n{told.stderr}"
    return told.stdout
