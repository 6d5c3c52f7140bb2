"""Where and in which number format to train on this machine."""

from __future__ import annotations

import math
import os
import time
from collections.abc import Sequence
from functools import cache

import torch

from wenlu.errors import UsageError
from wenlu.training.config import TrainConfig

SHAPES = ((256, 256, 256), (512, 512, 512), (1024, 1024, 1024), (2048, 2048, 2048), (4096, 768, 3072), (8192,) * 3)
"""Of the products that find a machine's speed, from little work to much: rows, columns in common, columns."""
PROBE_SECONDS, LONGEST_PRODUCT = 0.04, 0.15
"""For the products of one shape; and what a single one may take, or its shape is left out."""

_DTYPES = {"bfloat16": torch.bfloat16, "float32": torch.float32, "float64": torch.float64}


def choose_device(config: TrainConfig) -> torch.device:
    """The device asked for, or CUDA, MPS, CPU in that order; raises UsageError where it is absent."""
    if config.device == "auto":
        if torch.cuda.is_available():
            return torch.device("cuda")
        return torch.device("mps" if torch.backends.mps.is_available() else "cpu")
    try:
        device = torch.device(config.device)
        torch.empty(1, device=device)
    except (RuntimeError, AssertionError) as error:
        raise UsageError(f"train.device={config.device!r}: not usable here ({error}); try train.device=cpu") from error
    return device


def choose_dtype(config: TrainConfig, device: torch.device) -> torch.dtype:
    """The format asked for; "auto" takes bfloat16 where its matrix product beats float32's by half."""
    if config.dtype != "auto":
        return _DTYPES[config.dtype]
    if device.type == "cuda":
        return torch.bfloat16 if torch.cuda.is_bf16_supported() else torch.float32
    if device.type == "mps":
        return torch.float32
    half, single = _seconds([torch.bfloat16, torch.float32])
    return torch.bfloat16 if half * 1.5 < single else torch.float32


def choose_threads(config: TrainConfig, processes: int = 1) -> int:
    """Threads to compute with; "auto" takes the processors that may be used, shared among `processes` of a machine."""
    return max(1, len(os.sched_getaffinity(0)) // processes) if config.threads == "auto" else config.threads


def matrix_product_speed(dtype: torch.dtype, device: torch.device) -> tuple[float, str]:
    """The most floating-point operations a second that products of matrices reach here, and under which conditions.

    Measured once in a process for each number format, device and number of threads.
    """
    threads = torch.get_num_threads()
    where = f"{threads} thread{'s' if threads > 1 else ''}" if device.type == "cpu" else device.type
    return _fastest_product(dtype, device, threads), f"{str(dtype).removeprefix('torch.')}, {where}"


@cache
def _fastest_product(dtype: torch.dtype, device: torch.device, threads: int) -> float:  # noqa: ARG001  (a cache's key)
    best = 0.0
    for rows, common, columns in SHAPES:
        work = 2 * rows * common * columns
        if work > best * LONGEST_PRODUCT and best:
            continue
        left = torch.full((rows, common), 0.5, dtype=dtype, device=device)  # drawing would move the random numbers
        right = torch.full((common, columns), 0.5, dtype=dtype, device=device)
        product = left @ right  # the first one pays for its memory
        begun = time.perf_counter()
        while time.perf_counter() - begun < PROBE_SECONDS:
            started = time.perf_counter()
            torch.matmul(left, right, out=product)
            if device.type != "cpu":
                torch.accelerator.synchronize(device)
            best = max(best, work / (time.perf_counter() - started))
    return best


def _seconds(dtypes: Sequence[torch.dtype]) -> list[float]:
    """The fastest of ten products of 1024 × 1024 matrices in each format, in turns, so that what else runs on the
    machine slows all of them alike."""
    matrices = [torch.randn(1024, 1024).to(dtype) for dtype in dtypes]
    fastest = [math.inf for _ in dtypes]
    for turn in range(11):
        for number, matrix in enumerate(matrices):
            begin = time.perf_counter()
            matrix @ matrix
            if turn:  # the first one pays for its memory
                fastest[number] = min(fastest[number], time.perf_counter() - begin)
    return fastest
