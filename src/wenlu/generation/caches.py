"""What an engine keeps keys and values as."""

from __future__ import annotations

from typing import Literal

from wenlu.errors import UsageError
from wenlu.models import DecodeState
from wenlu.models.layers.int8_cache import Int8KVCache
from wenlu.models.layers.kv_cache import KVCache

CacheType = Literal["plain", "int8"]


def kept_as(state: DecodeState, cache: CacheType) -> DecodeState:
    """A model's empty state, or its substitute; raises UsageError for a state that has none."""
    if cache == "plain":
        return state
    if type(state) is not KVCache:
        raise UsageError(
            f'cache = "int8" is for decoders that keep keys and values alone, and this model keeps a '
            f'{type(state).__name__}; leave out cache, or set it to "plain"'
        )
    return Int8KVCache.like(state)
