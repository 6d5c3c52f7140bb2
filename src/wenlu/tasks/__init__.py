"""Tasks: where data meets model."""

from wenlu.tasks.causal_lm import CausalLM, Likelihood, Text
from wenlu.tasks.task import IGNORED, Batch, Loss, Predictor, Task
from wenlu.tasks.word_analogy import WordAnalogy
from wenlu.tasks.word_similarity import WordSimilarity

TASKS: tuple[type[Task], ...] = (CausalLM, WordAnalogy, WordSimilarity)

__all__ = [
    "IGNORED",
    "TASKS",
    "Batch",
    "CausalLM",
    "Likelihood",
    "Loss",
    "Predictor",
    "Task",
    "Text",
    "WordAnalogy",
    "WordSimilarity",
]
