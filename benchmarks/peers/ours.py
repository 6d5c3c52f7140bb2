"""Wenlu's own steps, by the functions that `wenlu pretrain` calls."""

from __future__ import annotations

import torch
from turns import SHAPES, Turns, arguments

from wenlu.corpus.shards import TokenData
from wenlu.models import family
from wenlu.tasks.causal_lm import CausalLM
from wenlu.training import AdamWConfig, TrainConfig, TrainState, choose_device, choose_dtype, choose_threads
from wenlu.training.batches import Batches
from wenlu.training.train import accumulate

RATE = 0.1
"""Of the peak; steps cost the same at any."""


def main() -> None:
    given = arguments()
    shape = SHAPES[given.shape]
    config = TrainConfig(context=shape.context, global_batch_tokens=shape.tokens, separate_documents=False)
    torch.set_num_threads(choose_threads(config))
    gpt2, task = family("gpt2"), CausalLM()
    sizes = gpt2.config(
        vocab_size=shape.vocabulary,
        hidden_size=shape.width,
        num_hidden_layers=shape.layers,
        num_attention_heads=shape.heads,
        max_position_embeddings=shape.context,
    )
    torch.manual_seed(0)
    device = choose_device(config)
    model = gpt2.build(sizes, dtype=choose_dtype(config, device), zero_outputs=True).to(device)
    state = TrainState(model, AdamWConfig())
    rows = task.rows(TokenData.open(given.tokens), config.context)
    batches = Batches(rows, config.rows_per_step, 0, config.separate_documents)

    def step() -> float:
        totals = accumulate(state, task, batches, config)
        state.update(count=totals.count, tokens=totals.tokens, factor=RATE, clip_norm=config.clip_norm)
        return totals.mean

    Turns().run(step)


if __name__ == "__main__":
    main()
