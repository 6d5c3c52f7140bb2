"""Tasks: where data meets model."""

from wenlu.tasks.causal_lm import CausalLM, Likelihood, Text
from wenlu.tasks.task import IGNORED, Batch, Loss, Predictor, Task

TASKS: tuple[type[Task], ...] = (CausalLM,)

__all__ = ["IGNORED", "TASKS", "Batch", "CausalLM", "Likelihood", "Loss", "Predictor", "Task", "Text"]
