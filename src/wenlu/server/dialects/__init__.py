"""What clients speak: each file turns one dialect's JSON into the internal request, and events into its JSON."""

from __future__ import annotations

from collections.abc import Callable

from fastapi import APIRouter

from wenlu.server.dialects import chat, completions, embeddings, explanations, later, messages, models, tasks, tokens
from wenlu.server.http.gateway import Gateway

DIALECTS: tuple[Callable[[Gateway], APIRouter], ...] = (
    chat.routes,
    completions.routes,
    embeddings.routes,
    explanations.routes,
    messages.routes,
    models.routes,
    tasks.routes,
    tokens.routes,
    later.routes,
)
