"""Generation: tokens from a model, text from a bundle, answers to a file of prompts."""

from wenlu.generation.settings import Sampling, SamplingConfig
from wenlu.generation.text import Choice, Completion, complete, stream_text

__all__ = ["Choice", "Completion", "Sampling", "SamplingConfig", "complete", "stream_text"]
