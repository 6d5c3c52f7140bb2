"""One file for each form in which clients ask: their JSON to a request of ours, our events to their answers."""

from __future__ import annotations

from collections.abc import Callable

from fastapi import APIRouter

from wenlu.server.http.gateway import Gateway

DIALECTS: tuple[Callable[[Gateway], APIRouter], ...] = ()
"""Each makes the routes of one form of asking."""
