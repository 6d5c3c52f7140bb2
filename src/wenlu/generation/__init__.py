"""Generation: tokens from a model, text from a bundle, answers to a file of prompts."""

from wenlu.generation.answer import Choice
from wenlu.generation.settings import Sampling, SamplingConfig
from wenlu.generation.text import Completion, complete, stream_text

__all__ = ["Choice", "Completion", "Sampling", "SamplingConfig", "complete", "stream_text"]
