"""Kernels in C++, compiled once on this machine, for its own processor, by its own compiler.

They take bfloat16, some float32 too, on a CPU with AVX512-BF16, and some also need AMX. Where there is no such
processor or no compiler, torch's own operators do the same, and `why_not` says so. `WENLU_KERNELS=torch` chooses them.
"""

from __future__ import annotations

import ctypes
import logging
import os
import platform
import shutil
import subprocess
import tempfile
from collections.abc import Collection
from functools import cache
from hashlib import blake2b
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

SOURCES = {
    "avx512": ("norms.cpp", "residual.cpp", "rows.cpp", "vector_attention.cpp"),
    "amx": ("attention.cpp", "products.cpp"),
    "decoder": ("decoder.cpp",),
    "pool": ("pool.cpp",),
}
NEEDS = {"avx512": "avx512_bf16", "amx": "amx_bf16", "decoder": "avx2", "pool": None}
"""Flags of the processor."""

FLAGS = ("-O3", "-march=native", "-std=c++20", "-fopenmp", "-fPIC", "-shared", "-w")
SWITCH = "WENLU_KERNELS"
_SECONDS = 120
_log = logging.getLogger("wenlu.kernels")


class Kernels:
    """The functions of one part of `SOURCES`, called with tensors and plain numbers."""

    def __init__(self, library: ctypes.CDLL) -> None:
        self.library = library

    def __call__(self, name: str, *arguments: Tensor | float | tuple[int, ...] | None) -> None:
        """Tensors go by address, None as none, whole numbers as long, others as float, tuples as arrays of long."""
        getattr(self.library, name)(*map(_converted, arguments))


NARROW = (torch.bfloat16,)
EITHER = {torch.bfloat16: "bfloat16", torch.float32: "float32"}
"""With what the names of the functions end that take both."""


def kernels(part: str, *tensors: Tensor, of: Collection[torch.dtype] = NARROW) -> Kernels | None:
    """The part's kernels, where they can work on all `tensors`: plain ones, of one of these dtypes, on a CPU."""
    for tensor in tensors:
        if tensor.dtype not in of or tensor.dtype != tensors[0].dtype:
            return None
        if tensor.device.type != "cpu" or type(tensor) not in _PLAIN:
            return None
    if torch.compiler.is_compiling():
        return None
    found = _loaded(part)
    return found if isinstance(found, Kernels) else None


@cache
def use_pool() -> str | None:
    """Keep the memory of large tensors from now on, as `pool.cpp` says; returns why that is not possible."""
    found = _loaded("pool")
    if isinstance(found, str):
        return found
    return "the system has no addresses to spare (see: ulimit -v)" if found.library.use_pool() else None


def trim_pool() -> None:
    """Give back the memory of the pool that no tensor uses, where a pool is in use."""
    in_use = use_pool.cache_info().currsize > 0 and use_pool() is None
    found = _loaded("pool") if in_use else None
    if isinstance(found, Kernels):
        found.library.trim_pool()


def why_not(part: str) -> str | None:
    """Why torch's operators are used in place of a part; None where they are not."""
    found = _loaded(part)
    return found if isinstance(found, str) else None


_PLAIN = (Tensor, torch.nn.Parameter)


def _converted(argument: Tensor | float | tuple[int, ...] | None) -> Any:
    match argument:
        case None:
            return None
        case Tensor():
            return ctypes.c_void_p(argument.data_ptr())
        case tuple():
            return (ctypes.c_long * len(argument))(*argument)
        case int():
            return ctypes.c_long(argument)
        case _:
            return ctypes.c_float(argument)


@cache
def _loaded(part: str) -> Kernels | str:
    """The kernels of a part, or why there are none."""
    needed = NEEDS[part]
    if needed is not None and os.environ.get(SWITCH) == "torch":
        return f"{SWITCH}=torch"
    if platform.system() != "Linux" or platform.machine() != "x86_64":
        return "only on Linux on x86-64"
    if needed is not None and needed not in _processor_flags():
        return f"the processor has no {needed}"
    compiler = shutil.which("g++") or shutil.which("clang++")
    if compiler is None:
        return "no C++ compiler (g++ or clang++) is installed"
    try:
        library = ctypes.CDLL(str(_built(part, compiler)))
    except (OSError, subprocess.SubprocessError) as error:
        return f"they could not be made: {error}"
    if part == "amx" and library.allow_tiles() != 0:
        return "the system does not grant the processor's tiles"
    return Kernels(library)


def _built(part: str, compiler: str) -> Path:
    """The compiled library, from the user's cache or made there."""
    here = Path(__file__).parent
    sources = [here / name for name in SOURCES[part]]
    headers = sorted(here.glob("*.h"))
    torch_folder = Path(torch.__file__).parent
    # torch's own: with a second OpenMP there would be a second pool of threads
    used = [torch_folder / "lib" / name for name in ("libgomp.so.1", "libc10.so")]
    flags = [*FLAGS, f"-I{torch_folder / 'include'}", *(str(path) for path in used if path.exists())]
    version = subprocess.run([compiler, "--version"], capture_output=True, check=True, timeout=_SECONDS).stdout
    digest = blake2b(digest_size=12)
    for piece in (*(path.read_bytes() for path in (*sources, *headers)), *map(str.encode, flags), version):
        digest.update(piece)
    digest.update(" ".join(sorted(_processor_flags())).encode())
    root = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "wenlu" / "kernels"
    library = root / f"{part}-{digest.hexdigest()}.so"
    root.mkdir(parents=True, exist_ok=True, mode=0o700)
    _refuse_what_others_write(root)
    if not library.exists():
        _log.warning("compiling the kernels %r for this processor, once; some ten seconds", part)
        with tempfile.TemporaryDirectory(dir=root) as folder:
            made = Path(folder) / library.name
            command = [compiler, "-o", str(made), *map(str, sources), *flags]
            done = subprocess.run(command, capture_output=True, text=True, check=False, timeout=_SECONDS)
            if done.returncode:
                raise OSError(f"{compiler} ended with {done.returncode}: {done.stderr.strip()[:400]}")
            made.replace(library)
    return library


def _refuse_what_others_write(folder: Path) -> None:
    """Raises OSError where another user could put a library of theirs in place of ours."""
    found = folder.stat()
    if found.st_uid != os.getuid() or found.st_mode & 0o022:
        raise OSError(f"{folder} belongs to others or may be written by them; chmod 700 it, or set XDG_CACHE_HOME")


@cache
def _processor_flags() -> frozenset[str]:
    with open("/proc/cpuinfo", encoding="utf-8") as lines:
        return next((frozenset(line.split(":")[1].split()) for line in lines if line.startswith("flags")), frozenset())
