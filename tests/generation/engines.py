"""Tiny models of every kind of memory, random requests, and the answers of an engine to them."""

from __future__ import annotations

import random
from collections.abc import Sequence
from typing import Any

import torch

from wenlu.generation.engine import Emission, Engine, Finish, Request
from wenlu.generation.settings import Sampling
from wenlu.models import LanguageModel, family

VOCAB = 48
UNIT, PAGE = 8, 4
RULES = (
    Sampling(),
    Sampling(temperature=1.0),
    Sampling(temperature=0.9, top_k=8, repetition_penalty=1.2),
    Sampling(temperature=1.3, top_p=0.9, presence_penalty=0.5, frequency_penalty=0.2),
)
SPECIAL: dict[str, dict[str, Any]] = {
    "mistral": {"sliding_window": 11},
    "gemma3": {"sliding_window": 9, "layer_types": ("sliding_attention", "full_attention"), "head_dim": 4},
}
PAGED = ("llama", "mistral", "gemma3", "gpt2", "qwen3")
STATEFUL = ("t5", "marian", "bart", "lstm", "gru")

Answer = list[tuple[int, float, Finish | None]]


def tiny(name: str, *, dtype: torch.dtype = torch.float32, **changes: Any) -> LanguageModel:
    row = family(name)
    sizes = {
        "hidden_size": 16,
        "intermediate_size": 24,
        "num_hidden_layers": 2,
        "num_attention_heads": 4,
        "max_position_embeddings": 64,
        "decoder_start_token_id": 2,
        "pad_token_id": 0,
        "initializer_range": 1.0 if name == "t5" else 0.5,
    }
    sizes |= SPECIAL.get(name, {}) | changes
    fitting = {key: value for key, value in sizes.items() if key in row.config.model_fields}
    torch.manual_seed(3)
    return row.build(row.config(vocab_size=VOCAB, **fitting), dtype=dtype).eval()


def small_pages(model: LanguageModel, **settings: Any) -> Engine:
    """An engine whose prompts have several units, and whose units have several pages."""
    return Engine(model, **({"unit": UNIT, "page_size": PAGE} | settings))


def some_requests(count: int, chance: random.Random) -> list[Request]:
    """Prompts of 1 to 34 tokens, of which some begin alike, and some are the same."""
    stems = [[chance.randrange(VOCAB) for _ in range(length)] for length in (9, 24)]
    requests: list[Request] = []
    for number in range(count):
        again = chance.random() < 0.3 and requests
        stem = chance.choice([[], *stems])
        tail = [chance.randrange(VOCAB) for _ in range(chance.randint(1, 10))]
        prompt = chance.choice(requests).prompt if again else [*stem, *tail]
        requests.append(
            Request(
                prompt,
                max_new_tokens=chance.randint(1, 12),
                rules=chance.choice(RULES),
                stop_ids=frozenset({chance.randrange(VOCAB)}),
                seed=chance.randrange(100),
                choice=number,
                priority=chance.randrange(3),
            )
        )
    return requests


def answers(engine: Engine, requests: Sequence[Request], *, a_step: int = 100) -> list[Answer]:
    """What each request is answered, `a_step` of which are submitted before each step."""
    waiting, found = list(requests), dict[int, Answer]()
    while waiting or engine.busy:
        found |= {engine.submit(request): [] for request in waiting[:a_step]}
        waiting = waiting[a_step:]
        for emission in engine.step():
            found[emission.id].append(told(emission))
    return list(found.values())


def told(emission: Emission) -> tuple[int, float, Finish | None]:
    return emission.token, emission.logprob, emission.finish


def tokens(answer: Answer) -> list[int]:
    return [token for token, _, _ in answer]
