"""Wenlu's own steps on questions, by the functions that `wenlu finetune recipes/answer.toml` calls."""

from __future__ import annotations

from itertools import cycle
from pathlib import Path

import numpy as np
import torch
from questions import arguments, parsed, read, spread
from turns import Turns

from wenlu.bundle import model_path
from wenlu.config import load
from wenlu.lifecycle.base import base_config, begin_with_base, with_base
from wenlu.lifecycle.recipe import Recipe
from wenlu.tasks import new_task
from wenlu.tokenizers import Tokenizer
from wenlu.training import TrainState, choose_device, choose_dtype, choose_threads
from wenlu.training.batches import Batches
from wenlu.training.train import accumulate

RECIPE = Path(__file__).parents[2] / "recipes" / "answer.toml"


def main() -> None:
    parser = arguments()
    parser.add_argument("--dtype", default="auto")
    given = parsed(parser)
    rows = read(given.windows)
    recipe = with_base(load(Recipe, RECIPE, [f"train.dtype={given.dtype}", f"train.context={rows.length}"]))
    config, device = recipe.train, choose_device(recipe.train)
    torch.set_num_threads(choose_threads(config))
    assert recipe.model.base is not None, "the recipe begins with a model that is there"
    settings = recipe.task.model_copy(update={"null": False, "language": "en"})
    tokenizer = Tokenizer.load(model_path(recipe.model.base))
    task = new_task(settings, tokenizer)
    torch.manual_seed(recipe.seed)
    sizes = base_config(recipe, tokenizer.vocab_size)
    model = recipe.model.chosen().build(sizes, dtype=choose_dtype(config, device), zero_outputs=False)
    begin_with_base(recipe, model)
    state = TrainState(task.trained(model).to(device), recipe.optimizer)
    batches = Batches(rows, config.rows_per_step, recipe.seed, config.separate_documents)
    longest = [int(rows.inputs.sizes[batches.rows(step)].max()) for step in range(len(rows) // config.rows_per_step)]
    numbers = cycle(spread(np.array(longest), given.steps).tolist())

    def step() -> float:
        state.step = next(numbers)
        totals = accumulate(state, task, batches, config)
        state.update(count=totals.count, loss=totals.sum, tokens=totals.tokens, factor=0.1, clip_norm=config.clip_norm)
        return totals.mean

    Turns().run(step)


if __name__ == "__main__":
    main()
