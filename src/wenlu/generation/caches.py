"""What an engine keeps keys and values as."""

from __future__ import annotations

from typing import Literal

CacheType = Literal["plain", "bfloat16", "int8"]
