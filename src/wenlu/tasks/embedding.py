"""Embed texts so that those which belong together are near: retrieval, similarity, duplicates."""

from __future__ import annotations

import json
import math
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any, ClassVar, Literal, Self

import numpy as np
import torch
import torch.nn.functional as F
from pydantic import Field, PositiveFloat, PositiveInt
from torch import Tensor, nn

from wenlu.corpus.examples import Examples
from wenlu.corpus.ragged import Ragged, Values
from wenlu.corpus.record import Record
from wenlu.errors import ConfigError, DataError, UsageError
from wenlu.metrics import MRR, SPEARMAN, Columns, Metric, ndcg, recall_at
from wenlu.models import Family, LanguageModel
from wenlu.progress import QUIET, Progress
from wenlu.tasks.labelled.headed import Headed
from wenlu.tasks.labelled.layout import Layout, parts
from wenlu.tasks.labelled.matching import Candidates, Embedded, Match, Matches, belong, numbered, places
from wenlu.tasks.labelled.reading import ReadingConfig, ReadingTask, rows_read
from wenlu.tasks.labelled.task import LabelledTask, Role, parsed, value_of
from wenlu.tasks.task import IGNORED, Batch, Draw, Loss, Part
from wenlu.tokenizers import Tokenizer

LONGEST = 512
MEASURES = (recall_at(1), MRR, ndcg(10))


class EmbeddingConfig(ReadingConfig):
    """How vectors are made and compared.

    Attributes:
        temperature: what similarities are divided by in the loss.
        symmetric: the positive has to find its anchor too; the loss is the mean of both directions.
        normalise: vectors have length 1, so that their product is the cosine.
        dimensions: prefixes of the vector that are to be vectors themselves (Matryoshka: Kusupati et al. 2022,
            arXiv:2205.13147); the loss is summed over them and the whole.
        projection: length of a vector that a linear map makes of the pooled one.
        long: what is read of a text that is longer than `train.context`.
    """

    suits: ClassVar[str] = "families that read text"
    of_answering: ClassVar[tuple[str, ...]] = ("long",)
    roles: ClassVar[tuple[Role, ...]] = (
        Role("anchor", "anchor", "the text, as a question"),
        Role("positive", "positive", "a text that belongs to it, as the passage with the answer", is_answer=True),
        Role(
            "negative", "negative", "one that does not though it seems to, or a list", is_optional=True, is_answer=True
        ),
        Role("score", "score", "how alike both are, to 1 or to 5, to evaluate by", is_optional=True, is_answer=True),
    )
    name: Literal["embedding"] = "embedding"
    temperature: PositiveFloat = 0.05
    symmetric: bool = False
    normalise: bool = True
    dimensions: tuple[PositiveInt, ...] = ()
    projection: PositiveInt | None = None
    long: Literal["head", "tail", "head-tail"] = "head"
    head_dropout: float = Field(default=0.0, ge=0, lt=1)

    def learnt(self, examples: Sequence[Match]) -> Self:
        """Nothing; but a training part that would teach what is wrong is refused."""
        for example, is_match in zip(examples, belong(examples), strict=True):
            if example.positive is None:
                raise DataError(f"{example.id}: no {self.column('positive')!r}, which positive is read from")
            if not is_match:
                raise DataError(
                    f"{example.id}: score {example.score:g} says that the two do not belong together, but every pair "
                    "of the training part is learnt as one that does; give such pairs as data.test"
                )
        return self


class EmbeddingHead(nn.Module):
    """The embedding (B, D') of pooled vectors (B, D)."""

    def __init__(self, hidden_size: int, projection: int | None, dropout: float) -> None:
        super().__init__()
        self.dropout = nn.Dropout(dropout)
        self.projection = nn.Identity() if projection is None else nn.Linear(hidden_size, projection, bias=False)

    def forward(self, x: Tensor) -> Tensor:
        out: Tensor = self.projection(self.dropout(x))
        return out


class Embedding(ReadingTask):
    """Vectors that are near where texts belong together.

    Each anchor has to find its positive among all distinct positives and negatives of the forward pass (InfoNCE: van
    den Oord et al. 2018, arXiv:1807.03748). So the loss of a batch is not that of its parts, and
    `train.micro_batch_tokens` limits how many others there are. A text that stands in the batch twice counts once;
    what belongs to an equal anchor is no negative.
    """

    name = "embedding"
    settings = EmbeddingConfig
    example = Match
    metrics = MEASURES
    target = "anchor"
    ability = "embeds texts"
    is_separable = False
    config: EmbeddingConfig

    def __init__(self, config: EmbeddingConfig, tokenizer: Tokenizer) -> None:
        super().__init__(config, tokenizer)
        self.layout = Layout.of(tokenizer)
        if config.projection is None:
            self.kept_head = {}  # so that any model can embed, as it was downloaded

    @classmethod
    def example_of(cls, record: Record, config: EmbeddingConfig) -> Match:
        positive = value_of(record, "positive", config)
        negatives = _negatives(record, config)
        if positive is not None and not positive.strip():
            raise DataError(f"{record.id}: an empty {config.column('positive')!r}")
        return Match(record.text, positive, negatives, _score(record, config), record.id)

    def head(self, hidden_size: int) -> EmbeddingHead:
        size = self.config.projection or hidden_size
        longest = max(self.config.dimensions, default=0)
        if longest > size:
            raise ConfigError(f"task.dimensions: {longest} is more than the {size} numbers of a vector")
        return EmbeddingHead(hidden_size, self.config.projection, self.config.head_dropout)

    def save(self, folder: Path, trained: LanguageModel, family: Family) -> None:
        if self.config.projection is None:
            LabelledTask.save(self, folder, trained, family)  # such a head has no weights
        else:
            super().save(folder, trained, family)

    def restored(self, folder: Path) -> Self:
        return self if self.config.projection is None else super().restored(folder)

    def rows(self, examples: Sequence[Match], context: int) -> Examples:
        """Anchors, and what they are compared with where all have a positive."""
        inputs = self._read([example.anchor for example in examples], context)
        pad = self.tokenizer.pad_id or 0
        if any(example.positive is None for example in examples):
            return Examples(inputs, length=context, pad_id=pad)
        texts, labels = numbered(examples)
        return Matches(inputs, length=context, pad_id=pad, passages=self._read(texts, context), labels=labels)

    def _read(self, texts: Sequence[str] | Sequence[Sequence[int]], context: int) -> Ragged:
        room = self.layout.room(context, pair=False)
        encoded = self.tokenizer.encode_batch([text for text in texts if isinstance(text, str)])
        rows = encoded or [list(ids) for ids in texts if not isinstance(ids, str)]
        return Ragged.of([self.layout.row(parts(ids, room, self.config.long)[0])[0] for ids in rows])

    def batch(self, draw: Draw) -> Batch:
        """Anchors; as targets (P, T') the passages of any of them, and as labels those of `Matches.passages_of`."""
        plain = super().batch(draw)
        if not isinstance(draw.source, Matches):
            return plain
        numbers, labels = draw.source.passages_of(draw.places)
        passages = torch.from_numpy(draw.source.passages.padded(numbers, IGNORED))
        return replace(plain, targets=passages, labels=torch.from_numpy(labels))

    def loss(self, model: LanguageModel, batch: Batch) -> Loss:
        """Summed nats of the anchors, over every length of vector."""
        headed = self.headed(model)
        assert batch.labels is not None, "a batch to learn from has positives"
        assert batch.attention_mask is not None
        real = batch.targets != IGNORED
        ids = batch.targets.masked_fill(~real, self.tokenizer.pad_id or 0)
        anchors = self._embedded(headed, batch)  # (B, D)
        passages = self._embedded(headed, Batch(ids, batch.targets, attention_mask=real.long()))  # (P, D)
        total = anchors.new_zeros(())
        right = 0
        for size in sorted({*self.config.dimensions, anchors.size(1)}):  # the whole is the last
            a, p = anchors[:, :size], passages[:, :size]
            if self.config.normalise:
                a, p = F.normalize(a, dim=1), F.normalize(p, dim=1)
            similar = a @ p.T / self.config.temperature
            nats, right = contrast(similar, batch.labels, symmetric=self.config.symmetric)
            total = total + nats
        count = len(anchors)
        read = int(batch.attention_mask.sum()) + int(real.sum())
        return Loss(total, count, {"match": Part(total.item(), count, right)}, tokens=read)

    def _embedded(self, headed: Headed, batch: Batch) -> Tensor:
        """(B, D) in float32 at least, not normalised."""
        found: Tensor = headed.task_head(self.vectors(headed, batch))
        return found.to(torch.promote_types(found.dtype, torch.float32))

    def outputs(self, model: Headed, batch: Batch) -> list[Values]:
        found = self._embedded(model, batch)
        return list((F.normalize(found, dim=1) if self.config.normalise else found).cpu().numpy())

    def embed(
        self,
        model: LanguageModel,
        texts: Sequence[str] | Sequence[Sequence[int]],
        dimensions: int | None = None,
        *,
        context: int | None = None,
        progress: Progress = QUIET,
    ) -> Values:
        """The vectors (n, d) of texts, of their first `dimensions` numbers alone where told, normalised again.

        Args:
            texts: or the ids of each.
            context: tokens that are read of a text; by default all that the model can, at most `LONGEST`.

        Raises UsageError for more dimensions than there are.
        """
        headed = self.headed(model)
        most: int = context or min(LONGEST, headed.config.context or LONGEST)
        source = Examples(self._read(texts, most), length=most, pad_id=self.tokenizer.pad_id or 0)
        vectors = np.stack(rows_read(self, headed, source, progress))
        if dimensions is None:
            return vectors
        if not 0 < dimensions <= vectors.shape[1]:
            raise UsageError(f"dimensions={dimensions}: the vectors have {vectors.shape[1]} numbers")
        vectors = vectors[:, :dimensions]
        if not self.config.normalise:
            return vectors
        unit: Values = vectors / np.linalg.norm(vectors, axis=1, keepdims=True).clip(min=1e-12)
        return unit

    def is_answered_by_rows(self, examples: Sequence[Match]) -> bool:
        return all(example.positive is None and not example.negatives for example in examples)

    def answer(
        self, model: LanguageModel, examples: Sequence[Match], context: int, *, progress: Progress = QUIET
    ) -> list[Embedded]:
        """With the place of each positive where all examples have one."""
        alone = [replace(example, positive=None, negatives=()) for example in examples]
        found: list[Embedded] = super().answer(model, alone, context, progress=progress)
        if not examples or any(example.positive is None for example in examples):
            return found
        candidates = Candidates.of(examples)
        anchors = np.stack([each.vector for each in found]).astype(np.float64)
        passages = self.embed(model, candidates.texts, context=context, progress=progress).astype(np.float64)
        ranked = places(lambda rows: anchors[rows] @ passages.T, candidates)
        return [
            replace(each, rank=rank, similarity=similarity)
            for each, rank, similarity in zip(found, *ranked, strict=True)
        ]

    def answered(
        self,
        examples: Sequence[Match],  # noqa: ARG002
        outputs: Sequence[Sequence[Any]],
        source: Examples,  # noqa: ARG002
    ) -> list[Embedded]:
        return [Embedded(rows[0]) for rows in outputs]

    def measures(self) -> tuple[Metric, ...]:
        """Of scored pairs first the correlation of scores and similarities."""
        return (SPEARMAN, *MEASURES) if "score" in self.config.columns else MEASURES

    def judged(self, examples: Sequence[Match], answers: Sequence[Embedded]) -> Columns:
        """Pairs that do not belong together have no rank."""
        for example, answer in zip(examples, answers, strict=True):
            if answer.rank is None:
                raise DataError(f"{example.id}: no positive to compare with")
            if "score" in self.config.columns and example.score is None:
                raise DataError(f"{example.id}: no {self.config.column('score')!r}, which score is read from")
        matches = belong(examples)
        ranks = np.where(matches, [answer.rank or 0 for answer in answers], np.nan)
        columns = {"ranks": ranks, "gains": matches.astype(np.float64)}
        if "score" in self.config.columns:
            columns["gold"] = np.array([example.score for example in examples], np.float64)
            columns["predicted"] = np.array([answer.similarity for answer in answers], np.float64)
        return columns

    def told(self, answer: Embedded) -> dict[str, Any]:
        told: dict[str, Any] = {"prediction": np.round(answer.vector.astype(np.float64), 6).tolist()}
        if answer.rank is not None and answer.similarity is not None:
            told |= {"rank": answer.rank, "similarity": round(answer.similarity, 6)}
        return told


def contrast(similar: Tensor, labels: Tensor, *, symmetric: bool) -> tuple[Tensor, int]:
    """Summed nats at which anchors choose their passage, and how many choose rightly.

    Of an anchor a with the passage p it is -log exp(s(a, p)) / Σ_q exp(s(a, q)), over all passages q but those that
    belong to an anchor equal to a. Symmetric is the mean of this and of the same with a and p exchanged, over the
    anchors that neither equal a nor have p too.

    Args:
        similar: (B, P) similarities, divided by the temperature.
        labels: (B, 2 + N) the number of each anchor's text, its passage, and others.
    """
    own = labels[:, 1]
    rows = torch.arange(len(own), device=own.device)
    mine = F.one_hot(own, similar.size(1))  # (B, P)
    equal = labels[:, :1] == labels[:, 0]  # (B, B)
    theirs = ((equal.to(similar.dtype) @ mine.to(similar.dtype)) > 0) & (mine == 0)
    choices = similar.masked_fill(theirs, -math.inf)
    total = F.cross_entropy(choices, own, reduction="sum")
    right = int((choices.argmax(dim=1) == own).sum())
    if symmetric:
        too = (equal | (own[:, None] == own)) & (rows[:, None] != rows)
        backwards = similar[:, own].T.masked_fill(too, -math.inf)  # row i: the anchors, as the passage of i sees them
        total = (total + F.cross_entropy(backwards, rows, reduction="sum")) / 2
    return total, right


def _negatives(record: Record, config: EmbeddingConfig) -> tuple[str, ...]:
    text = value_of(record, "negative", config)
    if text is None or not text.strip():
        return ()
    try:
        found = json.loads(text) if text.startswith("[") else [text]
    except json.JSONDecodeError:
        found = [text]  # a text that begins with a bracket
    if not all(isinstance(each, str) for each in found):
        raise DataError(f"{record.id}: negatives {text[:60]!r}; give a text or a list of texts")
    return tuple(dict.fromkeys(found))


def _score(record: Record, config: EmbeddingConfig) -> float | None:
    if value_of(record, "score", config) is None:
        return None
    found = parsed(record, "score", config)
    if isinstance(found, bool) or not isinstance(found, int | float) or not 0 <= found <= 5:
        raise DataError(f"{record.id}: score {json.dumps(found, ensure_ascii=False)[:60]} is no number from 0 to 5")
    return float(found)
