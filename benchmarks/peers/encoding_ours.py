"""Wenlu's vectors of sentences, by the function that `wenlu predict MODEL` calls for a bare encoder."""

from __future__ import annotations

import torch
from sentences import BASE, arguments, take_turns

from wenlu.bundle import load
from wenlu.generation.embedder import as_embedder
from wenlu.kernels.native import use_pool
from wenlu.tasks import Embedding


def main() -> None:
    given = arguments()
    use_pool()  # as the command line does
    bundle = as_embedder(load(BASE, dtype=getattr(torch, given.dtype)))
    task = bundle.task
    assert isinstance(task, Embedding), "MiniLM comes as a bare encoder"
    take_turns(given, lambda texts: task.embed(bundle.model, texts))


if __name__ == "__main__":
    main()
