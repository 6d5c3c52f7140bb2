"""How a recipe's model is to see, and the pictures of its run."""

from __future__ import annotations

from pathlib import Path

from wenlu.bundle import model_path
from wenlu.corpus.pictures.sight import Sight
from wenlu.corpus.pictures.store import PictureData
from wenlu.lifecycle.base import base_config
from wenlu.lifecycle.recipe import Recipe
from wenlu.models import ModelConfig
from wenlu.tasks import PicturedConfig, PicturedTask, new_task
from wenlu.tasks.pictured.task import base_processing, new_processing
from wenlu.tasks.pictured.writing import PicturedWritingTask
from wenlu.tokenizers import Tokenizer

PICTURES = "pictures"


def new_sight(recipe: Recipe, tokenizer: Tokenizer) -> Sight:
    """That of the base, else of the model that the recipe will make; raises ConfigError, WeightsError."""
    task = new_task(recipe.task, tokenizer)
    assert isinstance(task, PicturedTask), "asked of tasks with pictures"
    if recipe.model.base is not None:
        return task.sight_of(base_processing(model_path(recipe.model.base)))
    return task.sight_of(new_processing(recipe.model.chosen(), new_config(recipe, tokenizer)))


def new_config(recipe: Recipe, tokenizer: Tokenizer) -> ModelConfig:
    """Of a model from random weights; raises ConfigError."""
    return recipe.model.resolve(
        vocab_size=tokenizer.vocab_size,
        context=2 * recipe.train.context,
        end_id=tokenizer.eos_id,
        needed=recipe.task.new_model_settings(tokenizer),
    )


def settled(task: PicturedTask, recipe: Recipe, tokenizer: Tokenizer) -> PicturedTask:
    """The task with what the model to be trained says of how many tokens a picture takes."""
    if not isinstance(task, PicturedWritingTask):
        return task
    base = recipe.model.base is not None
    return task.settled(base_config(recipe, tokenizer.vocab_size) if base else new_config(recipe, tokenizer))


def with_pictures(task: PicturedTask, root: Path, sight: Sight | None = None) -> PicturedTask:
    """The task with the pictures that a run below `root` has stored, if they are of the size that it sees."""
    sight = sight or task.seeing
    if not (root / PICTURES).exists():
        return task.with_sight(sight)
    store = PictureData.open(root / PICTURES)
    return task.with_sight(Sight(sight.processing, sight.longest, store if store.longest == sight.longest else None))


def has_pictures(recipe: Recipe) -> bool:
    return isinstance(recipe.task, PicturedConfig)
