"""Tasks that a model answers by reading: a head of the task's own over hidden states."""

from __future__ import annotations

import json
from abc import abstractmethod
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, ClassVar, Self

import numpy as np
import torch
from pydantic import Field, model_validator
from safetensors.torch import load_file, save_file
from torch import Tensor, nn

from wenlu.corpus.examples import Examples
from wenlu.corpus.packing import PADDING
from wenlu.errors import WeightsError
from wenlu.models import Ability, Family, LanguageModel, family_of
from wenlu.models.layers.encoder import Encoder
from wenlu.models.weights.files import config_path
from wenlu.progress import QUIET, Progress
from wenlu.rundir import atomic
from wenlu.tasks.labelled.classes import in_class, missing_parts, read_classifier
from wenlu.tasks.labelled.headed import OWN, Headed, Pooling, has_token_types, pooled, reads_both_ways
from wenlu.tasks.labelled.task import LabelledConfig, LabelledTask
from wenlu.tasks.task import FILE, IGNORED, Batch, Draw, Task
from wenlu.tokenizers import Tokenizer

HEAD_FILE = "task_head.safetensors"
TOKENS_AT_ONCE, ROWS_AT_ONCE = 2048, 1024
"""Of a forward pass that answers, padding included: with four times as many a CPU spends its time on new memory."""


class ReadingConfig(LabelledConfig):
    """Settings of a task with a head over hidden states.

    Attributes:
        class_head: what the class ends in that families of transformers have for the task; None: they have none.
        pooling: what stands for a whole text: the mean of its tokens ("auto" for models that read both ways), its first
            or its last token ("auto" for causal and recurrent ones, whose last token alone has seen all). "own" is what
            the family's own class reads (BERT: the first token through a hidden layer; ModernBERT: of tokens, too), so
            that the model is saved as that class.
        head_dropout: of what the head reads, in training.
    """

    class_head: ClassVar[str | None] = None
    pooling: Pooling | str = Field(default="auto", pattern="^(auto|mean|first|last|own)$")
    head_dropout: float = Field(default=0.1, ge=0, lt=1)

    @model_validator(mode="after")
    def _has_a_class(self) -> Self:
        if self.is_own and self.unlike_a_class is not None:
            raise ValueError(
                f'pooling: "own" is for models that are a class of transformers, but {self.unlike_a_class}'
            )
        return self

    @property
    def is_own(self) -> bool:
        return self.pooling == OWN

    @property
    def is_of_tokens(self) -> bool:
        """Whether the head reads each token, not a vector for all of them."""
        return self.class_head in ("token-classification", "question-answering")

    @property
    def unlike_a_class(self) -> str | None:
        """Why no class of transformers answers as the head does; None where one does."""
        return f"none is for {self.name}" if self.class_head is None else None

    def accepts(self, family: Family) -> bool:
        return bool(family.abilities & {Ability.MASKED, Ability.CAUSAL}) and (
            not self.is_own or self.class_head in family.heads
        )

    @property
    def model_settings(self) -> Mapping[str, Any]:
        return {"head": self.class_head} if self.is_own else {}


class ReadingTask(LabelledTask):
    """A task of a `Headed` model.

    The body is kept as the model, and the head beside it as `task_head.safetensors`; with the pooling "own" both are
    one, a class of the family.
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

    @property
    def names(self) -> tuple[str, ...]:
        """Of the head's outputs, in their order; none where they have no names."""
        return ()

    @property
    def problem_type(self) -> str | None:
        """What transformers calls this kind of classification."""
        return None

    def trained(self, model: LanguageModel) -> Headed:
        if isinstance(model, Headed):
            return model
        if self.config.is_own and isinstance(model, Encoder):
            model.classifier = None  # the task's head stands in its place
        first = next(model.parameters())
        for weight in model.lm_head.parameters():
            if not _is_shared(model, weight):
                weight.requires_grad_(False)  # nothing asks for the next token
        return Headed(model, self.head(model.config.hidden_size).to(first.device, first.dtype))

    def kept(self, trained: LanguageModel) -> LanguageModel:
        if not isinstance(trained, Headed):
            return trained
        return self.as_class(trained) if self.config.is_own else trained.body

    def as_class(self, model: LanguageModel) -> LanguageModel:
        """The model as its family's class for the task, where `why_no_class` speaks not against it."""
        assert self.config.class_head is not None, "asked where there is a class"
        return in_class(self.headed(model), self.config.class_head, self.names)

    def why_no_class(self, model: LanguageModel) -> str | None:
        """Why no class of transformers would answer as the model does; None where one does."""
        config, body = self.config, self.headed(model).body
        family = family_of(body)
        if config.unlike_a_class is not None:
            return config.unlike_a_class
        assert config.class_head is not None, "there is one where nothing speaks against it"
        if config.class_head not in family.heads:
            return f"none of {family.name} ends as this task does"
        name = family.heads[config.class_head]
        if not config.is_own and (not config.is_of_tokens or missing_parts(body, config.class_head)):
            return f'{name} reads through a hidden layer of its own; train with task.pooling="own"'
        return None

    def save(self, folder: Path, trained: LanguageModel, family: Family) -> None:
        """Besides task.json the head; of a class of the family its `problem_type`, for transformers."""
        super().save(folder, trained, family)
        if self.config.is_own:
            path = config_path(folder)
            told = {**json.loads(path.read_text(encoding="utf-8")), "problem_type": self.problem_type}
            atomic.write_text(path, json.dumps(told, indent=2, ensure_ascii=False) + "\n")
            return
        headed = self.headed(trained)
        state = {name: value.detach().contiguous() for name, value in headed.task_head.state_dict().items()}
        save_file(state, folder / HEAD_FILE)

    def restored(self, folder: Path) -> Self:
        if self.config.is_own:
            return self
        path = folder / HEAD_FILE
        if not path.is_file():
            raise WeightsError(f"{path}: no such file, but {FILE} says that the model has a head for {self.name}")
        self.kept_head = load_file(path)
        return self

    def asked(self, settings: Mapping[str, Any]) -> Self:
        other = super().asked(settings)
        other.kept_head = self.kept_head
        return other

    def headed(self, model: LanguageModel) -> Headed:
        """The model with its head: as it is trained, or as `restored` read it."""
        if isinstance(model, Headed):
            return model
        if self._headed is None or self._headed[0] is not model:
            first = next(model.parameters())
            head = self.head(model.config.hidden_size).to(first.device, first.dtype)
            if self.config.is_own:
                head = read_classifier(model, head, self.names).to(first.device, first.dtype)
            else:
                assert self.kept_head is not None, f"a model for {self.name} is loaded with its head"
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
        found = headed.hidden(batch.input_ids, attention_mask=batch.attention_mask, token_types=types)
        if self.config.is_own and self.config.is_of_tokens:
            found = _encoder(headed).transformed(found)
        return found

    def vectors(self, model: LanguageModel, batch: Batch) -> Tensor:
        """One vector a text, (B, D)."""
        headed = self.headed(model)
        assert batch.attention_mask is not None, "a batch of texts has a mask"
        states = self.states(model, batch)
        if self.config.is_own:
            return _encoder(headed).pooled(states, batch.attention_mask)
        return pooled(states, batch.attention_mask, self._pooling(headed.body))

    def _pooling(self, body: LanguageModel) -> Pooling:
        if self.config.pooling == "auto":
            return "mean" if reads_both_ways(body) else "last"
        return self.config.pooling  # type: ignore[return-value]

    def read(self, model: LanguageModel, batch: Batch) -> Tensor:
        """What the head says of each text, (B, L), or of each token, (B, T, L)."""
        headed = self.headed(model)
        found: Tensor = headed.task_head((self.states if self.config.is_of_tokens else self.vectors)(headed, batch))
        return found

    def begin_with(self, other: Task, model: LanguageModel, trained: LanguageModel) -> bool:
        """Take over the head of a `model` of the `other` task, if it reads and says the same; whether it does."""
        if not isinstance(other, type(self)) or not self.says_the_same(other):
            return False
        theirs, own = other.headed(model), self.headed(trained)
        if other.reads(theirs.body) != self.reads(own.body):
            return False
        weights, places = theirs.task_head.state_dict(), own.task_head.state_dict()
        if {name: value.shape for name, value in weights.items()} != {n: value.shape for n, value in places.items()}:
            return False
        own.task_head.load_state_dict(weights)
        return True

    def says_the_same(self, other: Self) -> bool:
        """Whether the outputs of the two heads mean the same."""
        return self.names == other.names

    def reads(self, body: LanguageModel) -> str:
        """What of the hidden states the head reads."""
        if self.config.is_of_tokens:
            is_transformed = self.config.is_own and getattr(body, "transform", None) is not None
            return "transformed" if is_transformed else "states"
        return OWN if self.config.is_own else self._pooling(body)

    def answer(
        self, model: LanguageModel, examples: Sequence[Any], context: int, *, progress: Progress = QUIET
    ) -> list[Any]:
        """What the model answers to each example, in order.

        In batches of about one length; the order of examples does not matter to any of them.
        """
        if not examples:
            return []
        bare = self.bare(examples)
        return self.answer_rows(model, bare, self.rows(bare, context), progress=progress)

    def bare(self, examples: Sequence[Any]) -> Sequence[Any]:
        """The examples without what is known of their answers, where rows would hold it."""
        return examples

    def is_answered_by_rows(self, examples: Sequence[Any]) -> bool:  # noqa: ARG002  (for tasks that compare examples)
        """Whether `answer` is no more than `answer_rows` of the bare examples."""
        return True

    def answer_rows(
        self, model: LanguageModel, examples: Sequence[Any], source: Examples, *, progress: Progress = QUIET
    ) -> list[Any]:
        """As `answer`, of bare examples and the rows that were made of them, perhaps ahead in a thread."""
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
        sizes = source.inputs.sizes[order[start : start + ROWS_AT_ONCE]]  # rising, so the last one is the longest
        fits = np.arange(1, len(sizes) + 1) * sizes <= TOKENS_AT_ONCE
        places = order[start : start + max(1, int(fits.sum()))]
        batch = task.batch(Draw.at(source, places)).to(device)
        for place, output in zip(places.tolist(), task.outputs(model, batch), strict=True):
            found[place] = output
        start += len(places)
        progress.update(start)
    progress.finish(f"{len(source):,} texts")
    model.train(was_training)
    return found


def _encoder(headed: Headed) -> Encoder:
    assert isinstance(headed.body, Encoder), "only encoders have classes of their own for the task"
    return headed.body


def _is_shared(model: LanguageModel, weight: Tensor) -> bool:
    return any(weight is module.weight for module in model.modules() if isinstance(module, nn.Embedding))
