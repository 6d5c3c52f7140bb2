"""What an engine keeps keys and values as, and reads weights as."""

from __future__ import annotations

from typing import Literal

CacheType = Literal["plain", "bfloat16", "int8"]
Packing = Literal["auto", "torch", "float32", "bfloat16", "int8", "int4"]
"""What weights are read as; "auto": as they are, by the native call where it knows the model, else by torch."""
