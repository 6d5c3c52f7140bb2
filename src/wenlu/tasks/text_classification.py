"""Give a whole text, or a pair of texts, one label or several: sentiment, topic, spam, entailment."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import asdict, dataclass, replace
from typing import Any, ClassVar, Literal, Self

import numpy as np
import torch
import torch.nn.functional as F
from pydantic import Field
from torch import Tensor, nn

from wenlu.corpus.examples import Examples
from wenlu.corpus.ragged import Ragged, Values
from wenlu.corpus.record import Record
from wenlu.errors import DataError
from wenlu.metrics import (
    ACCURACY,
    AUPRC,
    AUROC,
    BRIER,
    EXPECTED_CALIBRATION_ERROR,
    MACRO_F1,
    MCC,
    MULTILABEL_MACRO_F1,
    MULTILABEL_MICRO_F1,
    MULTILABEL_SAMPLES_F1,
    SUBSET_ACCURACY,
    WEIGHTED_F1,
    Columns,
    Metric,
    confusion_matrix,
    per_class,
    reliability,
)
from wenlu.models import LanguageModel
from wenlu.progress import QUIET
from wenlu.tasks.labelled.headed import Headed
from wenlu.tasks.labelled.layout import Layout, Part, parts, shortened
from wenlu.tasks.labelled.mixup import Mixture, Place
from wenlu.tasks.labelled.reading import ReadingConfig, ReadingTask, by_owner, rows_read
from wenlu.tasks.labelled.task import Role, counted, value_of
from wenlu.tasks.task import Batch, Loss
from wenlu.tasks.task import Part as Counted
from wenlu.tokenizers import Tokenizer

MOST_LABELS = 10_000
MOST_IN_A_TABLE = 40
"""Labels whose confusions are told."""


@dataclass(frozen=True)
class LabelledText:
    """A text, a second one where it is a pair, and its labels: one, unless several may hold at once; None: unknown."""

    text: str
    second: str | None = None
    labels: tuple[str, ...] | None = None
    id: str = ""


@dataclass(frozen=True)
class Classified:
    """The probability of each label, in the task's order, and what was chosen."""

    probabilities: tuple[float, ...]
    chosen: tuple[int, ...]


class TextClassificationConfig(ReadingConfig):
    """Which labels, whether several may hold, and what is read of a long text.

    Attributes:
        labels: by default those of the training part, sorted.
        several: each label holds or not by itself (a JSON list of labels, or names parted by `separator`).
        long: what is read of a text that is longer than `train.context`: its head, its tail, a quarter head and three
            quarters tail, or all of it in windows that overlap, whose logits are averaged.
        class_weights: "balanced" weighs each label by how rare it is.
        label_smoothing: share of the target that all labels get alike, in training (Szegedy et al. 2016,
            arXiv:1512.00567).
        r_drop: weight of the divergence between two passes with their own dropout (Liang et al. 2021,
            arXiv:2106.14448); costs a second pass.
        mixup: α of the Beta distribution by which pairs of texts are mixed (Zhang et al. 2018, arXiv:1710.09412).
        mixup_in: in the vector that the head reads (Sun et al. 2020, arXiv:2010.02394), or the embeddings of tokens.
    """

    suits: ClassVar[str] = "families that read text"
    class_head: ClassVar[str | None] = "sequence-classification"
    is_augmentable: ClassVar[bool] = True
    of_answering: ClassVar[tuple[str, ...]] = ("abstain_below", "long", "temperature")
    roles: ClassVar[tuple[Role, ...]] = (
        Role("text", "text", "the text"),
        Role("second", "second", "the second text of a pair", is_optional=True),
        Role("label", "label", "its label, or a list of labels", is_answer=True),
    )
    name: Literal["text-classification"] = "text-classification"
    labels: tuple[str, ...] = ()
    several: bool = False
    separator: str = Field(default=";", min_length=1)
    long: Part = "head"
    class_weights: tuple[float, ...] | Literal["none", "balanced"] = "none"
    label_smoothing: float = Field(default=0.0, ge=0, lt=1)
    r_drop: float = Field(default=0.0, ge=0)
    mixup: float = Field(default=0.0, ge=0)
    mixup_in: Place = "vector"
    temperature: float = Field(default=1.0, gt=0)
    """What logits are divided by; found on the validation part once training is over."""

    def learnt(self, examples: Sequence[LabelledText]) -> Self:
        found = [label for example in examples for label in example.labels or ()]
        labels = self.labels or tuple(sorted(set(found)))
        if len(labels) < (1 if self.several else 2):
            raise DataError(f"the training part has only the label {', '.join(map(repr, labels)) or 'none'}; give two")
        if len(labels) > MOST_LABELS:
            raise DataError(
                f"{len(labels):,} labels in the training part, such as {labels[0][:40]!r}: is that column the label? "
                'Numbers are predicted by task.name="grading"'
            )
        weights = self.class_weights
        if weights == "balanced":
            numbers = counted(labels)
            counts = np.bincount([numbers[label] for label in found if label in numbers], minlength=len(labels))
            weights = tuple(np.round(len(found) / (len(labels) * np.maximum(counts, 1)), 6).tolist())
        return self.model_copy(update={"labels": labels, "class_weights": weights})


class ClassifierHead(nn.Module):
    """Logits (B, L) of vectors (B, D)."""

    def __init__(self, hidden_size: int, outputs: int, dropout: float) -> None:
        super().__init__()
        self.dropout = nn.Dropout(dropout)
        self.classifier = nn.Linear(hidden_size, outputs)
        nn.init.normal_(self.classifier.weight, std=0.02)
        nn.init.zeros_(self.classifier.bias)

    def forward(self, x: Tensor) -> Tensor:
        out: Tensor = self.classifier(self.dropout(x))
        return out


class TextClassification(ReadingTask):
    """Which label has the highest probability; of several, which have more than one half."""

    name = "text-classification"
    settings = TextClassificationConfig
    example = LabelledText
    metrics = (ACCURACY,)
    target = "text"
    ability = "labels texts"
    config: TextClassificationConfig

    def __init__(self, config: TextClassificationConfig, tokenizer: Tokenizer) -> None:
        super().__init__(config, tokenizer)
        self.layout = Layout.of(tokenizer)
        self.numbers = counted(config.labels)

    @classmethod
    def example_of(cls, record: Record, config: TextClassificationConfig) -> LabelledText:
        return LabelledText(record.text, value_of(record, "second", config), _labels(record, config), record.id)

    @property
    def names(self) -> tuple[str, ...]:
        return self.config.labels

    @property
    def problem_type(self) -> str:
        return "multi_label_classification" if self.config.several else "single_label_classification"

    def says_the_same(self, other: Self) -> bool:
        return super().says_the_same(other) and self.config.several == other.config.several

    def head(self, hidden_size: int) -> ClassifierHead:
        return ClassifierHead(hidden_size, len(self.config.labels), self.config.head_dropout)

    def rows(self, examples: Sequence[LabelledText], context: int) -> Examples:
        """Raises DataError for a label that the training part does not have."""
        pair = any(example.second is not None for example in examples)
        room = self.layout.room(context, pair=pair)
        firsts = self.tokenizer.encode_batch([example.text for example in examples])
        seconds = self.tokenizer.encode_batch([example.second or "" for example in examples]) if pair else []
        ids: list[list[int]] = []
        types: list[list[int]] = []
        owners: list[int] = []
        for number, first in enumerate(firsts):
            if pair:
                pieces = [self.layout.row(*shortened(first, seconds[number], room))]
            else:
                pieces = [self.layout.row(part) for part in parts(first, room, self.config.long)]
            for row, row_types in pieces:
                ids.append(row)
                types.append(row_types)
                owners.append(number)
        owned = np.array(owners, np.int64)
        labels = None
        if all(example.labels is not None for example in examples):
            labels = np.stack([self._target(example) for example in examples])[owned]
        return Examples(
            Ragged.of(ids),
            length=context,
            pad_id=self.tokenizer.pad_id or 0,
            owners=owned,
            types=Ragged.of(types, np.int8) if pair else None,
            labels=labels,
        )

    def _target(self, example: LabelledText) -> np.ndarray[Any, Any]:
        """() the number of the label; (L,) whether each holds, where several may."""
        assert example.labels is not None
        for label in example.labels:
            if label not in self.numbers:
                raise DataError(
                    f"{example.id}: label {label!r} is not one of those of the training part: "
                    f"{', '.join(self.config.labels[:20])}"
                )
        numbers = [self.numbers[label] for label in example.labels]
        if not self.config.several:
            return np.array(numbers[0])
        holds = np.zeros(len(self.config.labels), np.float32)
        holds[numbers] = 1
        return holds

    def loss(self, model: LanguageModel, batch: Batch) -> Loss:
        """Summed cross-entropy in nats; where several labels may hold, the mean over labels of binary ones."""
        headed = self.headed(model)
        assert batch.labels is not None, "a batch to learn from has labels"
        smoothing = self.config.label_smoothing if headed.training else 0.0
        if headed.training and self.config.mixup and len(batch.labels) > 1:
            total, logits = self._mixed(headed, batch, batch.labels)
        else:
            logits = headed.task_head(self.vectors(headed, batch))
            total = self._nats(logits, batch.labels, smoothing)
        if headed.training and self.config.r_drop:
            again = headed.task_head(self.vectors(headed, batch))
            total = (total + self._nats(again, batch.labels, smoothing)) / 2
            total = total + self.config.r_drop * _divergence(logits, again, several=self.config.several)
        count = len(batch.labels)
        right = int(self._right(logits, batch.labels).sum())
        assert batch.attention_mask is not None
        part = Counted(total.item(), count, right)
        return Loss(total, count, {"label": part}, tokens=int(batch.attention_mask.sum()))

    def _nats(self, logits: Tensor, labels: Tensor, smoothing: float) -> Tensor:
        wide = logits.to(torch.promote_types(logits.dtype, torch.float32))
        given = self.config.class_weights
        weights = None if isinstance(given, str) else torch.tensor(given, dtype=wide.dtype, device=wide.device)
        if self.config.several:
            targets = labels.to(wide.dtype) * (1 - smoothing) + smoothing / 2
            return F.binary_cross_entropy_with_logits(wide, targets, weight=weights, reduction="sum") / wide.size(1)
        return F.cross_entropy(wide, labels, weight=weights, label_smoothing=smoothing, reduction="sum")

    def _mixed(self, headed: Headed, batch: Batch, labels: Tensor) -> tuple[Tensor, Tensor]:
        """The loss of texts mixed with each other, and the logits of the larger parts."""
        mixture = Mixture.drawn(self.config.mixup, len(labels), labels.device)
        if self.config.mixup_in == "embedding":
            assert batch.attention_mask is not None, "a batch of texts has a mask"
            both = replace(batch, attention_mask=mixture.mask(batch.attention_mask))
            with mixture.in_embedding(headed.body, batch.attention_mask):
                logits = headed.task_head(self.vectors(headed, both))
        else:
            logits = headed.task_head(mixture.of(self.vectors(headed, batch)))
        share, smoothing = mixture.share, self.config.label_smoothing
        own, others = (self._nats(logits, each, smoothing) for each in (labels, labels[mixture.others]))
        return share * own + (1 - share) * others, logits

    def _right(self, logits: Tensor, labels: Tensor) -> Tensor:
        if self.config.several:
            return ((logits > 0) == labels.bool()).all(dim=1)
        return logits.argmax(dim=1) == labels

    def outputs(self, model: Headed, batch: Batch) -> list[np.ndarray[Any, Any]]:
        logits = model.task_head(self.vectors(model, batch))
        return list(logits.to(torch.promote_types(logits.dtype, torch.float32)).cpu().numpy())

    def answered(
        self,
        examples: Sequence[LabelledText],  # noqa: ARG002
        outputs: Sequence[Sequence[Any]],
        source: Examples,  # noqa: ARG002
    ) -> list[Classified]:
        """The logits of an example's rows are averaged, and divided by the temperature."""
        return self.decided(_averaged(outputs))

    def decided(self, logits: np.ndarray[Any, Any]) -> list[Classified]:
        scaled = logits / self.config.temperature
        if self.config.several:
            probabilities = 1 / (1 + np.exp(-scaled))
            return [Classified(tuple(row.tolist()), tuple(np.flatnonzero(row > 0.5).tolist())) for row in probabilities]
        shifted = np.exp(scaled - scaled.max(axis=1, keepdims=True))
        probabilities = shifted / shifted.sum(axis=1, keepdims=True)
        return [Classified(tuple(row.tolist()), (int(row.argmax()),)) for row in probabilities]

    def uncalibrated(
        self, model: LanguageModel, examples: Sequence[LabelledText], context: int
    ) -> tuple[Values, Values] | None:
        source = self.rows(examples, context)
        found = rows_read(self, self.headed(model), source, QUIET)
        logits = _averaged(by_owner(source, found, len(examples)))
        return logits, np.stack([self._target(example) for example in examples])

    def measures(self) -> tuple[Metric, ...]:
        """Of two labels also the areas, in which the second in the alphabet, or of `labels`, is what is sought."""
        if self.config.several:
            return (MULTILABEL_MICRO_F1, MULTILABEL_MACRO_F1, MULTILABEL_SAMPLES_F1, SUBSET_ACCURACY)
        areas = (AUROC, AUPRC) if len(self.config.labels) == 2 else ()
        return (ACCURACY, MACRO_F1, WEIGHTED_F1, MCC, *areas, EXPECTED_CALIBRATION_ERROR, BRIER)

    def judged(self, examples: Sequence[LabelledText], answers: Sequence[Classified]) -> Columns:
        """Raises DataError for an example without a label, or with one that is unknown."""
        for example in examples:
            if example.labels is None:
                raise DataError(f"{example.id}: no label to judge an answer by")
        gold = np.stack([self._target(example) for example in examples])
        probabilities = np.array([answer.probabilities for answer in answers])
        if self.config.several:
            predicted = np.zeros(gold.shape, int)
            for row, answer in zip(predicted, answers, strict=True):
                row[list(answer.chosen)] = 1
            correct = (predicted == gold).all(axis=1)
            labels = {"gold_labels": gold.astype(int), "predicted_labels": predicted}
            return {**labels, "correct": correct.astype(int), "probabilities": probabilities}
        chosen = np.array([answer.chosen[0] for answer in answers])
        correct = (chosen == gold).astype(int)
        return {"gold": gold, "predicted": chosen, "correct": correct, "probabilities": probabilities}

    def details(self, columns: Columns) -> dict[str, Any]:
        if self.config.several:
            return {}
        table = [asdict(row) for row in per_class(columns, self.config.labels)]
        bins = [asdict(each) for each in reliability(columns)]
        details: dict[str, Any] = {"per_class": table, "reliability": bins}
        if len(self.config.labels) <= MOST_IN_A_TABLE:
            details["confusion"] = confusion_matrix(columns, len(self.config.labels)).tolist()
        return details

    def told(self, answer: Classified) -> dict[str, Any]:
        names = self.config.labels
        by_label = dict(zip(names, (round(p, 6) for p in answer.probabilities), strict=True))
        if self.config.several:
            return {"prediction": [names[number] for number in answer.chosen], "probabilities": by_label}
        chosen = answer.chosen[0]
        return {
            "prediction": names[chosen],
            "probability": round(answer.probabilities[chosen], 6),
            "probabilities": by_label,
        }


def _labels(record: Record, config: TextClassificationConfig) -> tuple[str, ...] | None:
    text = value_of(record, "label", config)
    if text is None:
        return None
    if not config.several:
        if not text.strip():
            raise DataError(f"{record.id}: an empty label")
        return (text.strip(),)
    if text.startswith("["):
        try:
            found = json.loads(text)
        except json.JSONDecodeError:
            found = None
        if not isinstance(found, list) or not all(isinstance(label, str) for label in found):
            raise DataError(f"{record.id}: labels {text[:60]!r}; give a list of strings")
        return tuple(dict.fromkeys(found))
    return tuple(dict.fromkeys(label.strip() for label in text.split(config.separator) if label.strip()))


def _averaged(outputs: Sequence[Sequence[Any]]) -> Values:
    """(n, L) float64: the mean of the logits of each example's rows."""
    return np.stack([np.mean(rows, axis=0) for rows in outputs]).astype(np.float64)


def _divergence(a: Tensor, b: Tensor, *, several: bool) -> Tensor:
    """Mean of both directions' Kullback–Leibler divergence, summed over texts."""
    if several:
        p, q = torch.sigmoid(a.float()), torch.sigmoid(b.float())
        total: Tensor = ((p - q) * (a.float() - b.float())).sum() / (2 * a.size(1))
        return total
    p, q = F.log_softmax(a.float(), dim=1), F.log_softmax(b.float(), dim=1)
    return ((p.exp() - q.exp()) * (p - q)).sum() / 2
