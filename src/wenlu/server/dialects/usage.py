"""How many tokens a request took, as OpenAI's dialects tell it."""

from __future__ import annotations

from msgspec import Struct

from wenlu.server.messages import Started


class PromptDetails(Struct, frozen=True):
    cached_tokens: int


class Usage(Struct, frozen=True):
    prompt_tokens: int
    completion_tokens: int
    total_tokens: int
    prompt_tokens_details: PromptDetails


def usage_of(started: list[Started], written: int) -> Usage:
    """Of the prompts of a request and all that was written to them."""
    prompt = sum(one.prompt_tokens for one in started)
    cached = sum(one.cached_tokens for one in started)
    return Usage(prompt, written, prompt + written, PromptDetails(cached))
