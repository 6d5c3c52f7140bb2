"""The section `[distill]` of a recipe."""

from __future__ import annotations

from typing import Annotated, Literal, Self

from pydantic import Field, NonNegativeFloat, NonNegativeInt, PositiveFloat, PositiveInt, model_validator

from wenlu.config import Config


class DistillConfig(Config):
    """Learn from a teacher that was trained for the same task, on the same labels and with the same tokenizer.

    Attributes:
        teacher: a run, a folder, a GGUF file, `package:NAME/path` or a hub id.
        weight: the share of the teacher's probabilities in the loss; the task's own loss has the rest.
        temperature: that the logits of both are divided by; the loss is multiplied by its square, so that its gradients
            stay as large (Hinton et al. 2015, arXiv:1503.02531).
        divergence: "forward" covers all that the teacher holds possible, "reverse" keeps to what it thinks likely.
        cosine: weight of 1 - cos of both hidden states behind the last layer (DistilBERT: Sanh et al. 2019,
            arXiv:1910.01108); both have to be of one width.
        relations: weight of how differently both attend in the last layer, and relate their values (MiniLM: Wang et al.
            2020, arXiv:2002.10957); for encoders, of any widths with as many heads.
        on_policy: the student writes answers to the training part's prompts, at most `max_new_tokens` long, and the
            teacher judges each of its tokens (GKD: Agarwal et al. 2024, arXiv:2306.13649; with "reverse" as MiniLLM: Gu
            et al. 2024, arXiv:2306.08543). Right answers are not read, so `weight` is 1.
        layers: of `model.base`, which the student begins with: their numbers from 0, or every second one. Without it
            the student is as deep as the base.
    """

    teacher: Annotated[str, Field(min_length=1)]
    weight: Annotated[float, Field(ge=0, le=1)] = 0.5
    temperature: PositiveFloat = 2.0
    divergence: Literal["forward", "reverse"] = "forward"
    cosine: NonNegativeFloat = 0.0
    relations: NonNegativeFloat = 0.0
    on_policy: bool = False
    max_new_tokens: PositiveInt = 64
    layers: tuple[NonNegativeInt, ...] | Literal["every-second"] | None = None

    @model_validator(mode="after")
    def _asks_for_something(self) -> Self:
        if not (self.weight or self.cosine or self.relations):
            raise ValueError("weight, cosine and relations are all 0, so nothing is learnt of the teacher; set one")
        if self.on_policy and (self.weight, self.cosine, self.relations) != (1, 0, 0):
            raise ValueError("on_policy: learns from the teacher's probabilities alone; set weight = 1, and no others")
        if isinstance(self.layers, tuple) and not self.layers:
            raise ValueError("layers: names none; write [1, 3, 5] or 'every-second', or leave it out")
        return self

    def kept_layers(self, count: int) -> tuple[int, ...]:
        """Which of `count` layers the student begins with; raises ValueError."""
        if self.layers is None:
            return tuple(range(count))
        if isinstance(self.layers, str):
            return tuple(range(1, count, 2)) or (0,)
        for layer in self.layers:
            if layer >= count:
                raise ValueError(f"layers: {layer} is not one of 0 … {count - 1}, the layers of the base")
        return self.layers
