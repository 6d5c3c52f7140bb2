"""`wenlu doctor`: what this machine and this installation can do."""

from __future__ import annotations

import json as encoder
import locale
import os
import platform
import shutil
import sys
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Annotated, Any

import typer

EXTRAS = {
    "data": (
        "ftfy",
        "huggingface_hub",
        "lxml_html_clean",
        "py3langid",
        "pyarrow",
        "pypdf",
        "pyyaml",
        "rensa",
        "snowballstemmer",
        "stopwordsiso",
        "trafilatura",
        "zstandard",
    ),
    "gguf": ("gguf",),
    "lang-zh": ("pypinyin", "rjieba"),
    "mlflow": ("mlflow-skinny", "alembic", "sqlalchemy"),
    "onnx": ("onnx", "onnxruntime", "onnxscript"),
    "serve": (
        "alembic",
        "argon2-cffi",
        "fastapi",
        "httptools",
        "llguidance",
        "msgspec",
        "prometheus-client",
        "sqlalchemy",
        "uvicorn",
        "uvloop",
    ),
    "structured": ("llguidance",),
    "tasks": ("lxml", "sacrebleu", "scikit-learn", "scipy", "skops"),
    "tensorboard": ("tensorboard",),
    "trackio": ("trackio",),
    "tune": ("optuna", "cmaes", "scikit-learn"),
    "vectors": ("gensim",),
    "vision": ("pillow", "resvg-py"),
    "wandb": ("wandb",),
}
"""What each extra of pyproject.toml installs."""

SPARSE_DISK = 5e9
FAST_BF16 = {"avx512_bf16", "amx_bf16", "bf16"}


def doctor(
    json: Annotated[bool, typer.Option("--json", help="Print one JSON object.")] = False,
    schema: Annotated[bool, typer.Option("--schema", help="Print the JSON Schema of a recipe, for editors.")] = False,
) -> None:
    """Show versions, devices, disk, locale, extras, cache and allocator, and what is worth changing.

    Example: wenlu doctor
    """
    if schema:
        from wenlu.config import json_schema
        from wenlu.lifecycle.recipe import Recipe

        typer.echo(encoder.dumps(json_schema(Recipe), ensure_ascii=False, indent=2))
        return
    found = examine()
    typer.echo(encoder.dumps(found, ensure_ascii=False) if json else _words(found))


def examine() -> dict[str, Any]:
    """Everything that the command shows, as JSON."""
    from wenlu import __version__
    from wenlu.cli import allocator
    from wenlu.hub import cache_folder
    from wenlu.kernels.native import SOURCES, why_not
    from wenlu.rundir.provenance import commit, hardware, library_versions

    cache = cache_folder()
    found: dict[str, Any] = {
        "wenlu": __version__,
        "commit": commit(),
        "python": platform.python_version(),
        "os": platform.platform(),
        "libraries": library_versions(),
        "hardware": hardware(),
        "disk": {"folder": os.curdir, "free_bytes": shutil.disk_usage(os.curdir).free},
        "cache": {"folder": _without_home(cache), "bytes": _bytes_below(cache)},
        "locale": {"language": locale.getlocale()[0], "output": sys.stdout.encoding},
        "allocator": {"tunables_active": allocator.is_active(), "glibc": platform.libc_ver()[1] or None},
        "kernels": {part: why_not(part) for part in SOURCES},
        "extras": {extra: extra_state(extra) for extra in EXTRAS},
    }
    return {**found, "advice": advice(found)}


def extra_state(extra: str) -> dict[str, Any]:
    """Whether all packages of an extra are installed, which are not, and what installs them."""
    missing = [name for name in EXTRAS[extra] if not _is_installed(name)]
    command = f"pip install 'wenlu[{extra}]'"
    return {"installed": not missing, "missing": missing, "command": command if missing else None}


def advice(found: dict[str, Any]) -> list[str]:
    """What is worth changing, each with the way to do it; empty where all is well."""
    lines = []
    if (found["locale"]["output"] or "").lower().replace("-", "") != "utf8":
        lines.append(f"output is {found['locale']['output']}, so Chinese may not print; set PYTHONUTF8=1")
    if found["disk"]["free_bytes"] < SPARSE_DISK:
        lines.append(f"{found['disk']['free_bytes'] / 1e9:.1f} GB free here; checkpoints may not fit")
    if not found["hardware"]["gpus"] and FAST_BF16.isdisjoint(found["hardware"]["instructions"]):
        lines.append("this processor has no bf16 instructions, so training in fp32 is the faster one here")
    if any("compiler" in (reason or "") for reason in found["kernels"].values()):
        lines.append("no C++ compiler: training uses torch's operators; with g++ it builds faster ones for itself")
    if found["allocator"]["glibc"] is None:
        lines.append("not glibc: training allocates with the system's defaults, which may be slower")
    return lines


def _words(found: dict[str, Any]) -> str:
    machine, commit = found["hardware"], found["commit"]
    at = f" (commit {commit['id'][:10]}{', changed' if commit['dirty'] else ''})" if commit else ""
    allocator = "as is; training restarts itself with glibc tunables"
    if found["allocator"]["tunables_active"]:
        allocator = "glibc tunables active"
    lines = [
        f"wenlu      {found['wenlu']}{at}",
        f"python     {found['python']} on {found['os']}",
        f"libraries  {', '.join(f'{name} {number}' for name, number in found['libraries'].items())}",
        f"processor  {machine['cpu']}, {machine['cores']} cores, {machine['threads']} threads in use",
        f"           {' '.join(machine['instructions']) or 'no vector instructions of note'}",
        f"memory     {machine['memory_bytes'] / 1e9:.1f} GB",
        f"gpus       {', '.join(machine['gpus']) or 'none'}",
        f"disk       {found['disk']['free_bytes'] / 1e9:.1f} GB free here",
        f"cache      {found['cache']['folder']}, {found['cache']['bytes'] / 1e6:.1f} MB",
        f"locale     {found['locale']['language'] or 'none'}, output {found['locale']['output']}",
        f"allocator  {allocator}",
    ]
    for part, reason in found["kernels"].items():
        lines.append(f"kernels    {part}: {'in use' if reason is None else reason}")
    for extra, state in found["extras"].items():
        missing = f"missing {', '.join(state['missing'])}: {state['command']}"
        lines.append(f"extra      {extra}: {'installed' if state['installed'] else missing}")
    return "\n".join([*lines, *(f"advice     {line}" for line in found["advice"])])


def _is_installed(package: str) -> bool:
    try:
        version(package)
    except PackageNotFoundError:
        return False
    return True


def _without_home(path: Path) -> str:
    home = Path.home()
    return f"~/{path.relative_to(home).as_posix()}" if path.is_relative_to(home) else str(path)


def _bytes_below(folder: Path) -> int:
    return sum(file.stat().st_size for file in folder.rglob("*") if file.is_file()) if folder.is_dir() else 0
