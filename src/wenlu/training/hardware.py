"""Where and in which number format to train on this machine."""

from __future__ import annotations

import os
import time

import torch

from wenlu.errors import UsageError
from wenlu.training.config import TrainConfig

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
    return torch.bfloat16 if _seconds(torch.bfloat16) * 1.5 < _seconds(torch.float32) else torch.float32


def choose_threads(config: TrainConfig, processes: int = 1) -> int:
    """Threads to compute with; "auto" takes the processors that may be used, shared among `processes` of a machine."""
    return max(1, len(os.sched_getaffinity(0)) // processes) if config.threads == "auto" else config.threads


def _seconds(dtype: torch.dtype) -> float:
    """The faster of five products of 1024 × 1024 matrices."""
    matrix = torch.randn(1024, 1024).to(dtype)
    durations = []
    for _ in range(6):
        begin = time.perf_counter()
        matrix @ matrix
        durations.append(time.perf_counter() - begin)
    return min(durations[1:])
