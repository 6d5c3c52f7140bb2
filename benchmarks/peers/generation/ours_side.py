"""Wenlu's engine: `ours_side.py MODEL THREADS WEIGHTS`."""

from __future__ import annotations

import sys
import time

import torch
from turns import serve

from wenlu import load
from wenlu.generation.engine import Engine, Request
from wenlu.generation.native_runner import native_runner


class Ours:
    def __init__(self, model: str, threads: int, weights: str) -> None:
        torch.set_num_threads(threads)
        self.model = load(model).model
        self.runner = native_runner(self.model, weights=weights, max_batch=16)  # type: ignore[arg-type]

    def engine(self) -> Engine:
        return Engine(self.model, max_batch=16, runner=self.runner, prefix_cache=False)

    def prefill(self, ids: list[int]) -> float:
        engine = self.engine()
        begin = time.perf_counter()
        engine.submit(Request(ids, 1))
        while not engine.step():
            pass
        return time.perf_counter() - begin

    def decode(self, prompts: list[list[int]], tokens: int) -> float:
        engine = self.engine()
        for prompt in prompts:
            engine.submit(Request(prompt, tokens + 8))
        while len(engine.step()) < len(prompts):
            pass
        begin = time.perf_counter()
        for _ in range(tokens):
            assert len(engine.step()) == len(prompts)
        return time.perf_counter() - begin

    def score(self, ids: list[int]) -> list[float]:
        count = len(ids)
        pages = self.runner.pool.shape.pages(count)
        with torch.inference_mode():
            logits = self.runner.forward(
                torch.tensor(ids),
                torch.arange(count, dtype=torch.int32),
                torch.zeros(count, dtype=torch.int32),
                torch.tensor([self.runner.pool.take(pages)], dtype=torch.int32),
                torch.arange(count - 1, dtype=torch.int32),
            )
        return torch.nn.functional.cross_entropy(logits.double(), torch.tensor(ids[1:]), reduction="none").tolist()


if __name__ == "__main__":
    serve(Ours(sys.argv[1], int(sys.argv[2]), sys.argv[3]))
