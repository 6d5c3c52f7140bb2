"""The section `[evaluate]` of a recipe."""

from __future__ import annotations

from typing import Annotated, Literal, Self

from pydantic import Field, PositiveFloat, PositiveInt, model_validator

from wenlu.config import Config


class EvaluateConfig(Config):
    """What to score a model on, and how surely."""

    split: Literal["auto", "test", "validation"] = "auto"
    """Auto: the test split where there is one, else the validation split."""
    context: PositiveInt | Literal["auto"] = "auto"
    """Tokens that the model reads at once. Auto: its `max_position_embeddings` or half of them, whichever costs
    less on the validation split; at most 2048. Recurrent models read whole documents."""
    stride: PositiveInt | Literal["auto"] = "auto"
    """How far the window moves between two readings. Auto: half of the context."""
    dtype: Literal["auto", "bfloat16", "float32", "float64"] = "auto"
    """Auto: bfloat16 on processors that multiply it natively; float32 for recurrent models, whose state gathers
    rounding errors, and float64 for models stored so. Losses are computed in float32 at least."""
    baseline: bool = True
    """Score an interpolated Kneser–Ney n-gram, fitted to the training split, on the same texts."""
    generated: PositiveInt | Literal["all"] = "all"
    """Tasks that write: so many examples, drawn at random, are answered in writing and judged by the text; what the
    right texts cost is measured on all."""
    ngram_order: Annotated[int, Field(ge=1, le=8)] | Literal["auto"] = "auto"
    """Auto: the best of 3 to 6 on the validation split, or 5 without one."""
    ngram_tokens: PositiveInt = 10_000_000
    """The n-gram is fitted to at most so many training tokens, in documents drawn at random."""
    samples: PositiveInt = 1
    """Of a model that writes code: so many programs are written for each problem with unit tests and run in a sandbox.
    One is written as `[generate]` says, several are drawn at `sample_temperature`."""
    k: Annotated[tuple[PositiveInt, ...], Field(min_length=1)] = (1,)
    """Score pass@k for each of these, of at least as many samples: the chance that one of k programs passes."""
    sample_temperature: PositiveFloat = 0.8
    test_seconds: PositiveFloat = 3.0
    """After so long a program that is still running has failed."""
    confidence: Annotated[float, Field(gt=0, lt=1)] = 0.95
    resamples: Annotated[int, Field(ge=100, le=1_000_000)] = 2000
    seed: Annotated[int, Field(ge=0)] = 0
    """Of the bootstrap, and of the draw of training documents."""

    @model_validator(mode="after")
    def _scores_every_target(self) -> Self:
        if self.context != "auto" and self.stride != "auto" and self.stride > self.context:
            raise ValueError(f"stride {self.stride} is greater than context {self.context} and would skip tokens")
        return self

    @model_validator(mode="after")
    def _has_enough_samples(self) -> Self:
        if max(self.k) > self.samples:
            raise ValueError(
                f"k={max(self.k)} is greater than samples={self.samples}: pass@{max(self.k)} needs as many programs of "
                f"each problem; set evaluate.samples={max(self.k)} or more"
            )
        return self
