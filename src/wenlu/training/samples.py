"""What the model says along the way: one short continuation, for a person to look at."""

from __future__ import annotations

from pathlib import Path

from wenlu.bundle import Bundle
from wenlu.generation import SamplingConfig, complete
from wenlu.models import LanguageModel
from wenlu.tasks import Task
from wenlu.tokenizers import Tokenizer

SAMPLING = SamplingConfig(max_new_tokens=32, temperature=0.8, top_p=0.95, seed=0)


def sample(model: LanguageModel, task: Task, tokenizer: Tokenizer, prompt: str) -> str:
    """The prompt and its continuation; the random numbers of training are not touched."""
    bundle = Bundle(model=model, tokenizer=tokenizer, task=task, config=model.config, path=Path())
    model.eval()
    completion = complete(bundle, [prompt], SAMPLING)[0]
    model.train()
    return prompt + completion.text
