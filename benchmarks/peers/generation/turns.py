"""What every engine that `benchmarks/generate.py` measures shares: how it is told to take its turn.

No import but the standard library's: peers live in an environment of their own. A line of JSON asks for a turn:
`{"do": "prefill", "tokens": 512}`, `{"do": "decode", "batch": 8, "context": 128, "tokens": 32}` (the seconds that so
many tokens more of each text take), `{"do": "score", "ids": […]}` (nats of each id behind the first).
"""

from __future__ import annotations

import json
import resource
import sys
from typing import Any, Protocol


class Peer(Protocol):
    """An engine that is loaded; seconds are those of the turn alone."""

    def prefill(self, ids: list[int]) -> float: ...

    def decode(self, prompts: list[list[int]], tokens: int) -> float: ...


class Scorer(Peer, Protocol):
    """One that tells nats too. Ours also has `facts`, a mapping that goes with every answer."""

    def score(self, ids: list[int]) -> list[float]: ...


def prompts(batch: int, length: int) -> list[list[int]]:
    """Texts that share nothing, so that no cache of prefixes helps."""
    return [[1000 + (7919 * row + 104_729 * place) % 40_000 for place in range(length)] for row in range(batch)]


def serve(peer: Peer | Scorer) -> None:
    """Answer one line for each that asks."""
    for calls, line in enumerate(sys.stdin, start=1):
        asked: dict[str, Any] = json.loads(line)
        found: dict[str, Any] = dict(getattr(peer, "facts", {}))
        if asked["do"] == "prefill":
            found["seconds"] = peer.prefill(prompts(calls + 1, asked["tokens"])[-1])
        elif asked["do"] == "decode":
            found["seconds"] = peer.decode(prompts(calls + asked["batch"], asked["context"])[calls:], asked["tokens"])
        else:
            found["nats"] = peer.score(asked["ids"])
        found["peak_bytes"] = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024
        print(json.dumps(found), flush=True)
