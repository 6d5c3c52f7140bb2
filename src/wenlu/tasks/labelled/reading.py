"""Tasks that a model answers by reading: a head of the task's own over hidden states."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Sequence
from pathlib import Path
from typing import Any, Self

import numpy as np
import torch
from pydantic import Field
from safetensors.torch import load_file, save_file
from torch import Tensor, nn

from wenlu.corpus.examples import Examples
from wenlu.corpus.packing import PADDING
from wenlu.errors import WeightsError
from wenlu.models import Ability, Family, LanguageModel
from wenlu.progress import QUIET, Progress
from wenlu.tasks.labelled.headed import Headed, Pooling, has_token_types, pooled, reads_both_ways
from wenlu.tasks.labelled.task import LabelledConfig, LabelledTask
from wenlu.tasks.task import FILE, IGNORED, Batch, Draw
from wenlu.tokenizers import Tokenizer

HEAD_FILE = "task_head.safetensors"
TOKENS_AT_ONCE = 8192
"""Of a forward pass that answers, padding included."""


class ReadingConfig(LabelledConfig):
    """Settings of a task with a head over hidden states.

    Attributes:
        pooling: what stands for a whole text: the mean of its tokens ("auto" for models that read both ways), its first
            or its last token ("auto" for causal and recurrent ones, whose last token alone has seen all).
        head_dropout: of what the head reads, in training.
    """

    pooling: Pooling | str = Field(default="auto", pattern="^(auto|mean|first|last)$")
    head_dropout: float = Field(default=0.1, ge=0, lt=1)

    def accepts(self, family: Family) -> bool:
        return bool(family.abilities & {Ability.MASKED, Ability.CAUSAL})


class ReadingTask(LabelledTask):
    """A task of a `Headed` model.

    The body is kept as the model, and the head beside it as `task_head.safetensors`.
    """

    config: ReadingConfig

    def __init__(self, config: ReadingConfig, tokenizer: Tokenizer) -> None:
        super().__init__(config, tokenizer)
        self.kept_head: dict[str, Tensor] | None = None
        self._headed: tuple[LanguageModel, Headed] | None = None

    @abstractmethod
    def head(self, hidden_size: int) -> nn.Module:
        """A new head, its weights drawn."""

    @abstractmethod
    def outputs(self, model: Headed, batch: Batch) -> Sequence[Any]:
        """What the model says of each row, on the CPU and at least in float32; no answers are read."""

    @abstractmethod
    def answered(self, examples: Sequence[Any], outputs: Sequence[Sequence[Any]], source: Examples) -> list[Any]:
        """An answer of what the rows of each example gave."""

    def trained(self, model: LanguageModel) -> Headed:
        if isinstance(model, Headed):
            return model
        first = next(model.parameters())
        for weight in model.lm_head.parameters():
            if not _is_shared(model, weight):
                weight.requires_grad_(False)  # nothing asks for the next token
        return Headed(model, self.head(model.config.hidden_size).to(first.device, first.dtype))

    def kept(self, trained: LanguageModel) -> LanguageModel:
        return trained.body if isinstance(trained, Headed) else trained

    def save(self, folder: Path, trained: LanguageModel, family: Family) -> None:
        super().save(folder, trained, family)
        headed = self.headed(trained)
        state = {name: value.detach().contiguous() for name, value in headed.task_head.state_dict().items()}
        save_file(state, folder / HEAD_FILE)

    def restored(self, folder: Path) -> Self:
        path = folder / HEAD_FILE
        if not path.is_file():
            raise WeightsError(f"{path}: no such file, but {FILE} says that the model has a head for {self.name}")
        self.kept_head = load_file(path)
        return self

    def headed(self, model: LanguageModel) -> Headed:
        """The model with its head: as it is trained, or as `restored` read it."""
        if isinstance(model, Headed):
            return model
        if self._headed is None or self._headed[0] is not model:
            assert self.kept_head is not None, f"a model for {self.name} is loaded with its head"
            first = next(model.parameters())
            head = self.head(model.config.hidden_size).to(first.device, first.dtype)
            try:
                head.load_state_dict(self.kept_head)
            except RuntimeError as error:
                raise WeightsError(f"{HEAD_FILE} does not fit {self.name}: {error}") from error
            self._headed = model, Headed(model, head).train(model.training)
        return self._headed[1]

    def batch(self, draw: Draw) -> Batch:
        """Texts padded on the right, with their answers where they have them."""
        source = draw.source
        assert isinstance(source, Examples), f"{self.name} draws from examples"
        ids = torch.from_numpy(draw.rows.ids)
        mask = torch.from_numpy(draw.rows.segments != PADDING).long()
        targets = source.targets
        return Batch(
            input_ids=ids,
            targets=torch.empty(0) if targets is None else torch.from_numpy(targets.padded(draw.places, IGNORED)),
            attention_mask=mask,
            token_types=None if source.types is None else torch.from_numpy(source.types.padded(draw.places, 0)),
            labels=None if source.labels is None else torch.from_numpy(source.labels[draw.places]),
        )

    def states(self, model: LanguageModel, batch: Batch) -> Tensor:
        """Hidden states (B, T, D)."""
        headed = self.headed(model)
        types = batch.token_types if has_token_types(headed.body) else None
        return headed.hidden(batch.input_ids, attention_mask=batch.attention_mask, token_types=types)

    def vectors(self, model: LanguageModel, batch: Batch) -> Tensor:
        """One vector a text, (B, D)."""
        headed = self.headed(model)
        assert batch.attention_mask is not None, "a batch of texts has a mask"
        pooling = self.config.pooling
        if pooling == "auto":
            pooling = "mean" if reads_both_ways(headed.body) else "last"
        return pooled(self.states(model, batch), batch.attention_mask, pooling)  # type: ignore[arg-type]

    def answer(
        self, model: LanguageModel, examples: Sequence[Any], context: int, *, progress: Progress = QUIET
    ) -> list[Any]:
        """What the model answers to each example, in order.

        In batches of about one length; the order of examples does not matter to any of them.
        """
        if not examples:
            return []
        source = self.rows(examples, context)
        found = rows_read(self, self.headed(model), source, progress)
        return self.answered(examples, by_owner(source, found, len(examples)), source)


def by_owner(source: Examples, found: Sequence[Any], count: int) -> list[list[Any]]:
    """What the rows of each of `count` examples gave."""
    grouped: list[list[Any]] = [[] for _ in range(count)]
    for owner, output in zip(source.owners.tolist(), found, strict=True):
        grouped[owner].append(output)
    return grouped


@torch.inference_mode()
def rows_read(task: ReadingTask, model: Headed, source: Examples, progress: Progress) -> list[Any]:
    """What the model says of each row, in their order."""
    was_training = model.training
    model.eval()
    device = next(model.parameters()).device
    order = np.argsort(source.inputs.sizes, kind="stable")
    found: list[Any] = [None] * len(source)
    progress.start("answer", total=len(source), unit="texts")
    start = 0
    while start < len(order):
        longest = int(source.inputs.sizes[order[min(start + 63, len(order) - 1)]])
        places = order[start : start + max(1, min(64, TOKENS_AT_ONCE // max(1, longest)))]
        batch = task.batch(Draw.at(source, places)).to(device)
        for place, output in zip(places.tolist(), task.outputs(model, batch), strict=True):
            found[place] = output
        start += len(places)
        progress.update(start)
    progress.finish(f"{len(source):,} texts")
    model.train(was_training)
    return found


def _is_shared(model: LanguageModel, weight: Tensor) -> bool:
    return any(weight is module.weight for module in model.modules() if isinstance(module, nn.Embedding))
