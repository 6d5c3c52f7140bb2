"""Grade texts with a number, or with one for each of several traits: essays, ratings, any regression."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import Any, Self

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from wenlu.corpus.examples import Examples
from wenlu.corpus.ragged import Ragged, Values
from wenlu.corpus.record import Record
from wenlu.errors import DataError
from wenlu.metrics import ACCURACY, MAE, PEARSON, RMSE, SPEARMAN, Columns, Metric, mean_by_group, quadratic_kappa
from wenlu.models import LanguageModel
from wenlu.tasks.grades.graded import Found, Graded
from wenlu.tasks.grades.heads import OrdinalHead, RegressionHead
from wenlu.tasks.grades.settings import GradingConfig, ScoredText, scores_of
from wenlu.tasks.labelled.headed import Headed
from wenlu.tasks.labelled.layout import Layout, parts
from wenlu.tasks.labelled.reading import ReadingTask
from wenlu.tasks.labelled.task import value_of
from wenlu.tasks.labelled.traits import mean_of_traits, of_columns
from wenlu.tasks.task import Batch, Loss, Part
from wenlu.tokenizers import Tokenizer


class Grading(ReadingTask):
    """A score of each trait.

    A regression head learns by L = Σ_texts 1/T Σ_t (ŷ_t - (s_t - low_t) / (high_t - low_t))², the score s_t of each
    trait scaled to 0..1. Its answer is clipped to the scale, then rounded to a grade.

    An ordinal head learns P(grade > k) = σ(w·x + b_k) for each threshold k of a trait, the loss of which is the sum of
    their binary cross-entropies (CORAL: Cao et al. 2020, arXiv:1901.07884), its mean over traits. Where the biases are
    not in order, a probability counts as the least of those up to it. Its answer is the median grade, the first that is
    not exceeded with a probability above one half.
    """

    name = "grading"
    settings = GradingConfig
    example = ScoredText
    metrics = (PEARSON,)
    target = "text"
    ability = "grades texts"
    config: GradingConfig

    def __init__(self, config: GradingConfig, tokenizer: Tokenizer) -> None:
        super().__init__(config, tokenizer)
        self.layout = Layout.of(tokenizer)
        ends = np.array(config.scales or [(0.0, 1.0)] * config.outputs)
        self.low, self.width = ends[:, 0], ends[:, 1] - ends[:, 0]

    @property
    def loss_unit(self) -> str:
        return super().loss_unit if self.config.head == "ordinal" else f"squared error/{self.target}"

    @classmethod
    def example_of(cls, record: Record, config: GradingConfig) -> ScoredText:
        return ScoredText(record.text, scores_of(record, config), value_of(record, "prompt", config), record.id)

    @property
    def names(self) -> tuple[str, ...]:
        return self.config.traits or ("score",)

    @property
    def problem_type(self) -> str:
        return "regression"

    def says_the_same(self, other: Self) -> bool:
        return super().says_the_same(other) and self.config.scales == other.config.scales

    def head(self, hidden_size: int) -> nn.Module:
        if self.config.head == "ordinal":
            return OrdinalHead(hidden_size, self.config.grades, self.config.head_dropout)
        return RegressionHead(hidden_size, self.config.outputs, self.config.head_dropout)

    def rows(self, examples: Sequence[ScoredText], context: int) -> Examples:
        room = self.layout.room(context, pair=False)
        ids: list[list[int]] = []
        owners: list[int] = []
        for number, text in enumerate(self.tokenizer.encode_batch([example.text for example in examples])):
            pieces = parts(text, room, self.config.long)
            ids += [self.layout.row(piece)[0] for piece in pieces]
            owners += [number] * len(pieces)
        owned = np.array(owners, np.int64)
        labels = None
        if all(example.scores is not None for example in examples):
            shares = self.shares(examples)[owned]
            labels = self.numbers(shares) if self.config.head == "ordinal" else shares
        return Examples(Ragged.of(ids), length=context, pad_id=self.tokenizer.pad_id or 0, owners=owned, labels=labels)

    def shares(self, examples: Sequence[ScoredText]) -> Values:
        """(n, T) scores scaled to 0..1. Raises DataError for an example without."""
        bare = next((example.id for example in examples if example.scores is None), None)
        if bare is not None:
            raise DataError(f"{bare}: no score to compare with")
        scores = np.array([example.scores for example in examples], np.float64)
        shares: Values = (scores - self.low) / self.width
        return shares

    def numbers(self, shares: Values) -> Values:
        """(n, T) the nearest grade of each, from 0."""
        numbers: Values = np.rint(np.clip(shares, 0, 1) * (np.array(self.config.grades) - 1)).astype(np.int64)
        return numbers

    def loss(self, model: LanguageModel, batch: Batch) -> Loss:
        """Summed over texts, as the class says it; in squared shares of the scale, or in nats."""
        headed = self.headed(model)
        outputs = headed.task_head(self.vectors(headed, batch))
        wide = outputs.to(torch.promote_types(outputs.dtype, torch.float32))
        assert batch.labels is not None, "a batch to learn from has scores"
        total = self._costs(wide, batch.labels).mean(dim=1).sum()
        assert batch.attention_mask is not None
        read = int(batch.attention_mask.sum())
        if not self.config.step:
            return Loss(total, len(wide), tokens=read)
        gold = batch.labels.cpu().numpy()
        gold = gold if self.config.head == "ordinal" else self.numbers(gold)
        found = self._found(wide.detach().cpu().numpy())
        right = int((self.numbers((found.scores - self.low) / self.width) == gold).sum())
        return Loss(total, len(wide), {"grade": Part(total.item(), gold.size, right)}, tokens=read)

    def _costs(self, outputs: Tensor, labels: Tensor) -> Tensor:
        """(B, T)."""
        if self.config.head == "regression":
            return (outputs - labels.to(outputs.dtype)) ** 2
        thresholds = [count - 1 for count in self.config.grades]
        above = [labels[:, t, None] > torch.arange(count, device=labels.device) for t, count in enumerate(thresholds)]
        nats = F.binary_cross_entropy_with_logits(outputs, torch.cat(above, dim=1).to(outputs.dtype), reduction="none")
        return torch.stack([part.sum(dim=1) for part in torch.split(nats, thresholds, dim=1)], dim=1)

    def outputs(self, model: Headed, batch: Batch) -> list[Values]:
        found = model.task_head(self.vectors(model, batch))
        return list(found.to(torch.promote_types(found.dtype, torch.float32)).cpu().numpy())

    def answered(
        self,
        examples: Sequence[ScoredText],
        outputs: Sequence[Sequence[Any]],
        source: Examples,  # noqa: ARG002
    ) -> list[Graded]:
        """The outputs of an example's rows are averaged."""
        found = self._found(np.stack([np.mean(rows, axis=0) for rows in outputs]).astype(np.float64))
        return [replace(graded, prompt=each.prompt) for graded, each in zip(found.each(), examples, strict=True)]

    def _found(self, outputs: Values) -> Found:
        if self.config.head == "regression":
            return self.graded(outputs)
        numbers, expected, chances = [], [], []
        firsts = np.cumsum([count - 1 for count in self.config.grades])[:-1]
        for logits in np.split(outputs.astype(np.float64), firsts, axis=1):
            above = np.minimum.accumulate(1 / (1 + np.exp(-logits)), axis=1)  # (n, K - 1)
            numbers.append((above > 0.5).sum(axis=1))
            expected.append(above.sum(axis=1))
            chances.append(-np.diff(above, axis=1, prepend=1.0, append=0.0))
        step = self.config.step
        return Found(
            self.low + step * np.stack(numbers, axis=1), self.low + step * np.stack(expected, axis=1), tuple(chances)
        )

    def graded(self, shares: Values) -> Found:
        """What shares (n, T) of the scale mean: clipped, then rounded."""
        clipped = np.clip(shares.astype(np.float64), 0, 1)
        expected = self.low + clipped * self.width
        scores = self.low + self.config.step * self.numbers(clipped) if self.config.step else expected
        return Found(scores, expected)

    def measures(self) -> tuple[Metric, ...]:
        """Of several traits the mean of the first metric, then each trait's own; of prompts their mean besides."""
        if not self.config.traits:
            first, *others = self._measures(0)
            grouped = (mean_by_group(first),) if "prompt" in self.config.columns else ()
            return (first, *grouped, *others)
        own = [
            [
                of_columns(metric, {need: f"{need}.{trait}" for need in metric.needs}, f".{trait}")
                for metric in self._measures(number)
            ]
            for number, trait in enumerate(self.config.traits)
        ]
        mean = mean_of_traits([metrics[0] for metrics in own], self._measures(0)[0].name)
        return (mean, *(metric for metrics in own for metric in metrics))

    def _measures(self, trait: int) -> list[Metric]:
        """Of one trait; `gold` and `predicted` are what the first of them reads."""
        if not self.config.step:
            return [PEARSON, SPEARMAN, RMSE, MAE]
        first = self._first(trait)
        scores = {"gold": "gold_score", "predicted": "predicted_score"}
        kappa = quadratic_kappa(first, first + self.config.grades[trait] - 1)
        return [kappa, ACCURACY, PEARSON, of_columns(RMSE, scores), of_columns(MAE, scores)]

    def _first(self, trait: int) -> int:
        """What the lowest grade is called where they are counted: itself where grades are whole numbers, else 0."""
        low = float(self.low[trait])
        return int(low) if self.config.step == 1 and low.is_integer() else 0

    def judged(self, examples: Sequence[ScoredText], answers: Sequence[Graded]) -> Columns:
        gold = self.shares(examples)
        found = (np.array([answer.scores for answer in answers]) - self.low) / self.width
        columns: dict[str, Values] = {}
        for number, trait in enumerate(self.config.traits or ("",)):
            ending = f".{trait}" if trait else ""
            scores = [self.low[number] + self.width[number] * shares[:, number] for shares in (gold, found)]
            if self.config.step:
                grades = [self._first(number) + self.numbers(shares)[:, number] for shares in (gold, found)]
                columns |= {f"gold{ending}": grades[0], f"predicted{ending}": grades[1]}
                columns |= {f"gold_score{ending}": scores[0], f"predicted_score{ending}": scores[1]}
                columns[f"correct{ending}"] = (grades[0] == grades[1]).astype(int)
            else:
                columns |= {f"gold{ending}": scores[0], f"predicted{ending}": scores[1]}
        columns["group"] = np.unique([example.prompt or "" for example in examples], return_inverse=True)[1]
        return columns

    def told(self, answer: Graded) -> dict[str, Any]:
        """Of several traits an object by their names; the probability is then that of the least sure."""
        names = self.config.traits
        scores = [self._plain(score) for score in answer.scores]
        expected = [round(value, 6) for value in answer.expected]
        told: dict[str, Any] = {"prediction": dict(zip(names, scores, strict=True)) if names else scores[0]}
        if answer.probabilities:
            chosen = [
                max(0, round((s - low) / self.config.step)) for s, low in zip(answer.scores, self.low, strict=True)
            ]
            told["probability"] = round(min(p[k] for p, k in zip(answer.probabilities, chosen, strict=True)), 6)
            by_grade = [self._by_grade(number, found) for number, found in enumerate(answer.probabilities)]
            told["probabilities"] = dict(zip(names, by_grade, strict=True)) if names else by_grade[0]
        told["expected"] = dict(zip(names, expected, strict=True)) if names else expected[0]
        return told if answer.prompt is None else {**told, "prompt": answer.prompt}

    def _by_grade(self, trait: int, probabilities: Sequence[float]) -> dict[str, float]:
        grades = (self._plain(self.low[trait] + self.config.step * k) for k in range(len(probabilities)))
        return {str(grade): round(p, 6) for grade, p in zip(grades, probabilities, strict=True)}

    def _plain(self, score: float) -> int | float:
        rounded = round(float(score), 6)
        return int(rounded) if self.config.step and rounded.is_integer() else rounded
