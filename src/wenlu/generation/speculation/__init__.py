"""Speculation: cheap guesses of what comes next, which the model checks in one pass; it answers as without them."""

from wenlu.generation.speculation.draft_model import DraftModel, first_layers
from wenlu.generation.speculation.drafter import Draft, Drafter, Guess
from wenlu.generation.speculation.prompt_lookup import PromptLookup
from wenlu.generation.speculation.verify import settle, verify

__all__ = ["Draft", "DraftModel", "Drafter", "Guess", "PromptLookup", "first_layers", "settle", "verify"]
