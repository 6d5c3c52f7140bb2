"""llama.cpp by its low-level interface: `llama_cpp_side.py MODEL.gguf THREADS`."""

from __future__ import annotations

import math
import sys
import time
from collections.abc import Iterable

import llama_cpp as library
import numpy as np
from turns import serve

ROOM = 1024
"""Tokens a text."""


class LlamaCpp:
    def __init__(self, path: str, threads: int) -> None:
        library.llama_backend_init()
        self.model = library.llama_model_load_from_file(path.encode(), library.llama_model_default_params())
        options = library.llama_context_default_params()
        options.n_seq_max = 16
        options.n_ctx = options.n_seq_max * ROOM
        options.n_batch = options.n_ubatch = 512
        options.n_threads = options.n_threads_batch = threads
        self.context = library.llama_init_from_model(self.model, options)
        self.vocabulary = library.llama_vocab_n_tokens(library.llama_model_get_vocab(self.model))

    def read(self, rows: Iterable[tuple[int, int, int, bool]]) -> None:
        """Of each row token, position, sequence, and whether its logits are asked for."""
        rows = list(rows)
        batch = library.llama_batch_init(len(rows), 0, 1)
        batch.n_tokens = len(rows)
        for index, (token, position, sequence, wanted) in enumerate(rows):
            batch.token[index], batch.pos[index], batch.logits[index] = token, position, wanted
            batch.n_seq_id[index], batch.seq_id[index][0] = 1, sequence
        status = library.llama_decode(self.context, batch)
        library.llama_synchronize(self.context)
        library.llama_batch_free(batch)
        assert status == 0, f"llama_decode says {status}"

    def clear(self) -> None:
        library.llama_memory_clear(library.llama_get_memory(self.context), True)

    def prefill(self, ids: list[int]) -> float:
        self.clear()
        begin = time.perf_counter()
        self.read((token, place, 0, place == len(ids) - 1) for place, token in enumerate(ids))
        return time.perf_counter() - begin

    def decode(self, prompts: list[list[int]], tokens: int) -> float:
        self.clear()
        for row, prompt in enumerate(prompts):
            self.read((token, place, row, place == len(prompt) - 1) for place, token in enumerate(prompt))
        last = [prompt[-1] for prompt in prompts]
        begin = time.perf_counter()
        for step in range(tokens):
            self.read((token, len(prompts[0]) + step, row, True) for row, token in enumerate(last))
            last = [int(self.logits(row).argmax()) for row in range(len(prompts))]
        return time.perf_counter() - begin

    def logits(self, row: int) -> np.ndarray:
        return np.ctypeslib.as_array(library.llama_get_logits_ith(self.context, row), (self.vocabulary,))

    def score(self, ids: list[int]) -> list[float]:
        self.clear()
        self.read((token, place, 0, True) for place, token in enumerate(ids))
        nats = []
        for place, token in enumerate(ids[1:]):
            logits = self.logits(place).astype(np.float64)
            top = logits.max()
            nats.append(top + math.log(np.exp(logits - top).sum()) - logits[token])
        return nats


if __name__ == "__main__":
    serve(LlamaCpp(sys.argv[1], int(sys.argv[2])))
