"""Where a run comes from: code, versions, hardware, seeds, data and the command, without secrets or home paths."""

from __future__ import annotations

import os
import platform
import re
import subprocess
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

from wenlu import __version__

LIBRARIES = (
    "torch",
    "numpy",
    "safetensors",
    "tokenizers",
    "pydantic",
    "ftfy",
    "py3langid",
    "pyarrow",
    "rensa",
    "rjieba",
    "trafilatura",
)
"""Packages whose version can change a result."""

_ISA = ("avx2", "avx512f", "avx512_vnni", "avx512_bf16", "amx_tile", "amx_bf16", "amx_int8", "asimd", "sve", "bf16")
_MASK = "***"
_SECRET_WORDS = {"secret", "secrets", "password", "passwd", "passphrase", "token", "auth", "credential", "credentials"}
_SECRET_KEYS = re.compile(r"(?i)(?:api|access|private|secret|signing)[-_]?key")
_IN_URL = re.compile(r"(?i)(?<=://)[^/@\s]+(?=@)|(?<=[?&])(sig|signature|key|token|x-amz-[\w-]+)=[^&\s]+")
_VALUE = re.compile(
    r"\b(?:hf_|sk-|gh[opsu]_|github_pat_|glpat-|xox[abp]-|AKIA|ASIA|AIza|npm_|pypi-)[\w-]{8,}|(?<=Bearer )\S+"
)


def provenance(
    command: Sequence[str], seeds: Mapping[str, int], data: Mapping[str, str], *, now: datetime | None = None
) -> dict[str, Any]:
    """What `provenance.json` holds.

    Args:
        command: the arguments, as in `sys.argv`; secrets are masked.
        seeds: by name of what they seed.
        data: digests by name of what was read.
        now: the time to write, for tests; default the clock's.
    """
    return {
        "created": (now or datetime.now(UTC)).isoformat(timespec="seconds"),
        "command": masked(command),
        "seeds": dict(seeds),
        "data": dict(data),
        "commit": commit(),
        "wenlu": __version__,
        "python": platform.python_version(),
        "libraries": library_versions(),
        "hardware": hardware(),
        "os": platform.platform(),
    }


def library_versions() -> dict[str, str]:
    """Versions of the installed packages among `LIBRARIES`."""
    return {name: found for name in LIBRARIES if (found := _version(name))}


def commit() -> dict[str, Any] | None:
    """Commit of the checkout that this code lies in, and whether files differ from it; None where it is installed."""
    folder = Path(__file__).parent
    try:
        if _git(folder, "ls-files", Path(__file__).name):  # else we only happen to lie inside somebody's repository
            return {"id": _git(folder, "rev-parse", "HEAD"), "dirty": bool(_git(folder, "status", "--porcelain"))}
    except (OSError, subprocess.SubprocessError):
        return None
    return None


def hardware() -> dict[str, Any]:
    """Processor, usable cores, instruction sets that change speed or rounding, memory in bytes, accelerators."""
    import torch

    cpuinfo = Path("/proc/cpuinfo").read_text(errors="replace") if Path("/proc/cpuinfo").exists() else ""
    model = re.search(r"^model name\s*:\s*(.+)$", cpuinfo, re.MULTILINE)
    flags = re.search(r"^(?:flags|Features)\s*:\s*(.+)$", cpuinfo, re.MULTILINE)
    present = set(flags.group(1).split()) if flags else set()
    return {
        "cpu": model.group(1).strip() if model else platform.processor() or platform.machine(),
        "cores": len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count(),
        "instructions": [name for name in _ISA if name in present],
        "memory_bytes": memory_bytes(),
        "threads": torch.get_num_threads(),
        "gpus": [torch.cuda.get_device_name(index) for index in range(torch.cuda.device_count())],
    }


def memory_bytes() -> int:
    """Memory that this process may use: of the machine, or of its control group where that is less."""
    machine = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")
    limit = Path("/sys/fs/cgroup/memory.max")
    text = limit.read_text().strip() if limit.exists() else "max"
    return min(machine, int(text)) if text.isdigit() else machine


def masked(command: Sequence[str]) -> list[str]:
    """The arguments with secrets as ***, and the home folder as ~."""
    home = str(Path.home())
    result: list[str] = []
    previous = ""
    for argument in command:
        name, equals, _ = argument.partition("=")
        if previous.startswith("--") and "=" not in previous and _is_secret(previous):
            shown = _MASK
        elif equals and "://" not in name and _is_secret(name):
            shown = f"{name}={_MASK}"
        else:
            shown = _VALUE.sub(_MASK, _IN_URL.sub(_hide_url_part, argument))
        result.append(re.sub(rf"(?<![\w.]){re.escape(home)}(?=/|$)", "~", shown) if len(home) > 1 else shown)
        previous = argument
    return result


def _is_secret(name: str) -> bool:
    words = re.split(r"[^a-z]+", name.lower())
    return not _SECRET_WORDS.isdisjoint(words) or _SECRET_KEYS.search(name) is not None


def _hide_url_part(match: re.Match[str]) -> str:
    return f"{match.group(1)}={_MASK}" if match.group(1) else _MASK


def _version(name: str) -> str:
    try:
        return version(name)
    except PackageNotFoundError:
        return ""


def _git(folder: Path, *arguments: str) -> str:
    command = ["git", "-C", str(folder), *arguments]
    return subprocess.run(command, capture_output=True, text=True, timeout=10, check=True).stdout.strip()
