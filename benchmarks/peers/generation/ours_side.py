"""Wenlu's engine: `ours_side.py MODEL THREADS WEIGHTS`."""

from __future__ import annotations

import sys
import time

import torch
from turns import serve

from wenlu import load
from wenlu.generation.engine import Engine, Request
from wenlu.generation.native_runner import NativeRunner
from wenlu.generation.pages import pool_for
from wenlu.models.native import packed_decoder


class Ours:
    def __init__(self, model: str, threads: int, weights: str) -> None:
        torch.set_num_threads(threads)
        self.model, self.weights = load(model).model, weights
        self.engine = Engine(self.model, max_batch=16, cache="bfloat16", prefix_cache=False, weights=weights)

        shape = pool_for(self.model, max_batch=1, cache="bfloat16").shape
        self.facts = {
            "weight_bytes": packed_decoder(self.model, weights).nbytes,
            "cache_bytes": shape.nbytes // shape.page_size,
        }

    def prefill(self, ids: list[int]) -> float:
        begin = time.perf_counter()
        self.engine.submit(Request(ids, 1))
        while not self.engine.step():
            pass
        return time.perf_counter() - begin

    def decode(self, prompts: list[list[int]], tokens: int) -> float:
        numbers = [self.engine.submit(Request(prompt, tokens + 8)) for prompt in prompts]
        while len(self.engine.step()) < len(prompts):
            pass
        begin = time.perf_counter()
        for _ in range(tokens):
            assert len(self.engine.step()) == len(prompts)
        taken = time.perf_counter() - begin
        for number in numbers:
            self.engine.cancel(number)
        return taken

    def score(self, ids: list[int]) -> list[float]:
        pool = pool_for(self.model, max_batch=1, cache="bfloat16")
        runner = NativeRunner(self.model, pool, self.weights)
        count = len(ids)
        with torch.inference_mode():
            logits = runner.forward(
                torch.tensor(ids),
                torch.arange(count, dtype=torch.int32),
                torch.zeros(count, dtype=torch.int32),
                torch.tensor([pool.take(pool.shape.pages(count))], dtype=torch.int32),
                torch.arange(count - 1, dtype=torch.int32),
            )
        return torch.nn.functional.cross_entropy(logits.double(), torch.tensor(ids[1:]), reduction="none").tolist()


if __name__ == "__main__":
    serve(Ours(sys.argv[1], int(sys.argv[2]), sys.argv[3]))
