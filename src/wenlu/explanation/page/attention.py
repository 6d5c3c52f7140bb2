"""Weights of attention as a page holds them: a byte each, of the square root, since most weights are small.

A weight w is off by at most √w / 255 + 1 / 510²."""

from __future__ import annotations

from base64 import b64encode
from typing import Any

import numpy as np

from wenlu.explanation.explanation import AttentionMap

Bytes = np.ndarray[Any, np.dtype[np.uint8]]


def packed(attention: AttentionMap) -> str:
    """Base64 of the bytes, in the order of `weights`."""
    return b64encode(steps_of(attention.weights).tobytes()).decode("ascii")


def steps_of(weights: np.ndarray[Any, np.dtype[np.float32]]) -> Bytes:
    """As many as `weights`: 255 times the square root."""
    found: Bytes = np.rint(255 * np.sqrt(np.clip(np.nan_to_num(weights), 0, 1))).astype(np.uint8)
    return found
