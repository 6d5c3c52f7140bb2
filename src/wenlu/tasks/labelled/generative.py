"""Tasks that a model answers by writing: what to ask, how what was written is read, and what is to be learnt."""

from __future__ import annotations

import math
from abc import abstractmethod
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import groupby
from typing import Any, ClassVar

import numpy as np
import torch
from pydantic import Field
from torch import Tensor

from wenlu.corpus.examples import Examples
from wenlu.corpus.packing import Ids
from wenlu.corpus.ragged import Ragged
from wenlu.errors import DataError
from wenlu.metrics import Columns, Metric
from wenlu.models import LanguageModel
from wenlu.progress import QUIET, Progress
from wenlu.tasks.causal_lm import Likelihood
from wenlu.tasks.labelled.task import LabelledConfig, LabelledTask
from wenlu.tasks.labelled.text_measure import TextMeasure
from wenlu.tasks.labelled.token_loss import nats_of_each, summed_nats
from wenlu.tasks.objective import tokens_in
from wenlu.tasks.task import IGNORED, Batch, Draw, Loss

TOKENS_AT_ONCE = 8192
"""Of a forward pass that scores targets, padding included."""


@dataclass(frozen=True)
class WrittenText:
    """What was written in answer.

    Attributes:
        logprob: of its tokens in nats, summed, the end included; None of what gives no probabilities.
        tokens: how many these are.
    """

    text: str
    logprob: float | None = None
    tokens: int = 0


@dataclass(frozen=True)
class Given:
    """An example for evaluation by what is written: what a model is asked, and what was to be said.

    Attributes:
        place: which of all examples it is of.
    """

    example: Any
    place: int


@dataclass(frozen=True)
class Measured:
    """What the right texts of an example cost.

    Attributes:
        size: their bytes.
        targets: the tokens of each, as far as they were measured; one that was cut lacks its end.
    """

    likelihood: Likelihood
    size: int
    targets: tuple[tuple[int, ...], ...]


class WrittenRows(Examples):
    """Rows whose targets are tokens that a model writes.

    Attributes:
        sizes: (R,) bytes of UTF-8 of the texts that the targets of each row are of.
    """

    def __init__(self, inputs: Ragged, *, sizes: Ids | None = None, **facts: Any) -> None:
        super().__init__(inputs, **facts)
        self.sizes = sizes


class GenerativeConfig(LabelledConfig):
    """Settings of all tasks that write.

    Attributes:
        label_smoothing: share of the target that all tokens get alike, in training.
    """

    label_smoothing: float = Field(default=0.0, ge=0, lt=1)


class GenerativeTask(LabelledTask):
    """A task whose answers are texts, learnt token by token.

    Attributes:
        condition: what the targets are given, as signatures say it.
        by_likelihood: what the right texts cost says more of a model than how like them its own are.
    """

    condition: ClassVar[str]
    by_likelihood: ClassVar[bool] = False
    config: GenerativeConfig

    @abstractmethod
    def prompts(self, examples: Sequence[Any], context: int) -> list[list[int]]:
        """What a model is asked for each example: the source of an encoder–decoder, what a decoder continues."""

    def pictures(self, examples: Sequence[Any]) -> list[Tensor] | None:  # noqa: ARG002  (for tasks that see)
        """(M, C, H, W) for each prompt, the pictures that its placeholders stand for; None where tasks have none."""
        return None

    @abstractmethod
    def rows(self, examples: Sequence[Any], context: int) -> WrittenRows:
        """What is read, and what is to be written, if all examples have it."""

    @abstractmethod
    def references(self, examples: Sequence[Any]) -> list[str]:
        """The text that was to be written for each example; raises DataError where one has none."""

    @abstractmethod
    def all_targets(self, examples: Sequence[Any]) -> list[str]:
        """Every text that the examples teach."""

    @abstractmethod
    def text_measures(self) -> tuple[TextMeasure, ...]:
        """How written texts are judged, the most telling first."""

    @abstractmethod
    def states(self, model: LanguageModel, batch: Batch) -> Tensor:
        """Hidden states, one for each place of `batch.targets`: (B, T, D)."""

    @property
    @abstractmethod
    def end_id(self) -> int:
        """The token that ends an answer."""

    @property
    @abstractmethod
    def has_encoder(self) -> bool:
        """Whether an encoder reads what is asked."""

    def written(self, ids: Sequence[int], logprob: float | None = None) -> WrittenText:
        """The answer that tokens are, their end included where they have one."""
        return WrittenText(self.tokenizer.decode(ids).strip(), logprob, len(ids))

    def answered(self, example: Any, text: str, ids: Sequence[int], logprob: float | None) -> WrittenText:  # noqa: ARG002
        """The answer to an example; `text` is what the tokens add to what was asked."""
        return self.written(ids, logprob)

    def learnt_rows(self, examples: Sequence[Any], context: int) -> WrittenRows:
        """The rows of the examples themselves, without what training adds to them."""
        return self.rows(examples, context)

    def loss(self, model: LanguageModel, batch: Batch) -> Loss:
        """Summed cross-entropy in nats over target tokens, smoothed in training alone, and how many they are."""
        asked = batch.targets != IGNORED
        count = int(asked.sum())
        read = tokens_in(batch) + (count if self.has_encoder else 0)
        smoothing = self.config.label_smoothing if model.training else 0.0
        hidden = self.states(model, batch)
        total = summed_nats(model, hidden[asked], batch.targets[asked], label_smoothing=smoothing)
        return Loss(total, count, tokens=read)

    def likelihoods(
        self, model: LanguageModel, examples: Sequence[Any], context: int, *, progress: Progress = QUIET
    ) -> list[Measured]:
        """What the targets of each example cost, each token given all that is right before it.

        Of a target that is too long for `context` only the tokens count that training would learn. Raises DataError
        where an example has nothing to be written.
        """
        source = self.learnt_rows(examples, context)
        if source.targets is None:
            self.references(examples)  # which says of which example
        assert source.targets is not None, "every example has something to be written"
        assert source.sizes is not None, "who has targets knows their sizes"
        nats, counts = np.zeros(len(examples)), np.zeros(len(examples), np.int64)
        longest = source.inputs.sizes + (source.targets.sizes if self.has_encoder else 0)
        order = np.argsort(-longest, kind="stable")
        device = next(model.parameters()).device
        was_training = model.training
        model.eval()
        progress.start("score", total=len(order), unit="rows")
        start = 0
        while start < len(order):
            places = order[start : start + max(1, TOKENS_AT_ONCE // int(longest[order[start]]))]
            start += len(places)
            batch = self.batch(Draw.at(source, places)).to(device)
            asked = batch.targets != IGNORED
            with torch.inference_mode():
                found = nats_of_each(model, self.states(model, batch)[asked], batch.targets[asked])
            rows = asked.nonzero()[:, 0].cpu().numpy()
            owners = source.owners[places][rows]
            np.add.at(nats, owners, found.double().cpu().numpy())
            np.add.at(counts, owners, 1)
            progress.update(start)
        progress.finish(f"{int(counts.sum()):,} tokens")
        model.train(was_training)
        sizes = np.bincount(source.owners, weights=source.sizes, minlength=len(examples)).astype(int)
        targets: list[list[tuple[int, ...]]] = [[] for _ in examples]
        for row, owner in enumerate(source.owners.tolist()):
            targets[owner] += _runs(source.targets[row].tolist())
        return [
            Measured(Likelihood(cost, count), size, tuple(texts))
            for cost, count, size, texts in zip(nats.tolist(), counts.tolist(), sizes.tolist(), targets, strict=True)
        ]

    def drawn(self, examples: Sequence[Any], most: int | None, seed: int) -> list[Given]:
        """The examples whose answers are written for evaluation, in order: all, or `most` at random."""
        return [Given(examples[place], place) for place in drawn_places(len(examples), most, seed)]

    def measures(self) -> tuple[Metric, ...]:
        return tuple(measure.metric for measure in self.text_measures())

    def judged(self, examples: Sequence[Any], answers: Sequence[WrittenText]) -> Columns:
        written, right = [answer.text for answer in answers], [[text] for text in self.references(examples)]
        columns: dict[str, Any] = {}
        for measure in self.text_measures():
            if not {*measure.metric.needs} <= {*columns}:
                columns |= measure.columns(written, right)
        return columns

    def told(self, answer: WrittenText) -> dict[str, Any]:
        """`probability` is the geometric mean of those of the tokens: e to the mean log-probability of one."""
        if answer.logprob is None:
            return {"prediction": answer.text}
        return {
            "prediction": answer.text,
            "probability": round(math.exp(answer.logprob / max(1, answer.tokens)), 6),
            "logprob": round(answer.logprob, 4),
            "tokens": answer.tokens,
        }


def _runs(targets: Sequence[int]) -> list[tuple[int, ...]]:
    """The targets without what is not asked for between them."""
    asked = groupby(targets, key=lambda token: token != IGNORED)
    return [tuple(run) for is_asked, run in asked if is_asked]


def drawn_places(count: int, most: int | None, seed: int) -> list[int]:
    """The places of all, or of `most` of them at random, in order."""
    if most is None or most >= count:
        return list(range(count))
    return sorted(np.random.default_rng(seed).permutation(count)[:most].tolist())


def no_answer(id: str, role: str) -> DataError:
    return DataError(f"{id}: no {role} to compare with")
