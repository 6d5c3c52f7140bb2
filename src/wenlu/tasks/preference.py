"""Learn which of two answers people like better, by making it likelier: direct preference optimisation and its kin."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from copy import copy
from typing import Any, Literal, Self

import numpy as np
import torch
from pydantic import Field, PositiveFloat, model_validator
from torch import Tensor

from wenlu.corpus.packing import Ids, Rows
from wenlu.corpus.ragged import Values
from wenlu.corpus.record import Record
from wenlu.errors import DataError
from wenlu.metrics import Columns, Metric
from wenlu.models import LanguageModel
from wenlu.progress import QUIET, Progress
from wenlu.tasks.dialogues.rows import Writer
from wenlu.tasks.labelled.task import LabelledTask
from wenlu.tasks.labelled.token_loss import each_nats
from wenlu.tasks.preferences.example import Preferred, preferred_of
from wenlu.tasks.preferences.losses import NEEDS_REFERENCE, PreferenceLoss, Said, pair_losses, rewards
from wenlu.tasks.preferences.rows import PairBatch, PairRows, pair_batch, pair_rows
from wenlu.tasks.preferences.settings import PairConfig
from wenlu.tasks.preferences.verdict import MEASURES, Verdict, judged, parts_of, readings_of
from wenlu.tasks.task import IGNORED, Batch, Draw, Loss, Reading, Totals
from wenlu.tokenizers import Tokenizer, end_of_turn, with_chat_template

PAIRS_AT_ONCE = 8
"""Pairs of a forward pass that keeps no gradients."""


class PreferenceConfig(PairConfig):
    """How pairs of answers are learnt.

    Attributes:
        loss: "sigmoid" (DPO; with `label_smoothing` cDPO), "ipo", "robust" or "orpo", which needs no reference and
            learns the better answer by heart besides.
        beta: how closely the model stays to the reference; of "ipo" its τ, of "orpo" its λ.
        label_smoothing: the share of pairs that are thought to be told the wrong way round.
    """

    name: Literal["preference"] = "preference"
    loss: PreferenceLoss = "sigmoid"
    beta: PositiveFloat = 0.1
    label_smoothing: float = Field(default=0.0, ge=0, lt=0.5)

    @model_validator(mode="after")
    def _smooths(self) -> Self:
        if self.label_smoothing and self.loss not in ("sigmoid", "robust"):
            raise ValueError(f'label_smoothing: is for loss = "sigmoid" (cDPO) and "robust", not {self.loss!r}')
        if self.loss == "robust" and not self.label_smoothing:
            raise ValueError(
                'loss = "robust" needs label_smoothing, the share of pairs that are told the wrong way round'
            )
        return self


class Preference(LabelledTask):
    """The better answer is made likelier than the worse one, compared with a reference: the model before training.

    What the reference says of each pair is computed once, before the first step, and kept with the rows, so that no
    second model stays in memory. The model converses as before.
    """

    name = "preference"
    settings = PreferenceConfig
    example = Preferred
    metrics = MEASURES
    target = "pair"
    ability = "goes on with conversations as people like it"
    converses = True
    config: PreferenceConfig

    def __init__(self, config: PreferenceConfig, tokenizer: Tokenizer) -> None:
        super().__init__(config, with_chat_template(tokenizer))
        self.end_id = end_of_turn(self.tokenizer)
        self.writer = Writer(self.tokenizer, self.end_id)
        self.reference: LanguageModel | None = None

    @classmethod
    def example_of(cls, record: Record, config: PreferenceConfig) -> Preferred:
        return preferred_of(record, config.pair_columns)

    @property
    def loss_unit(self) -> str:
        return f"{'squared ' * (self.config.loss == 'ipo')}nats/{self.target}"

    @property
    def needs_reference(self) -> bool:
        return self.config.loss in NEEDS_REFERENCE

    def beside(self, reference: LanguageModel) -> Self:
        """The same task, whose answers are compared with what a reference says."""
        other = copy(self)
        other.reference = reference.eval()
        return other

    def rows(self, examples: Sequence[Preferred], context: int) -> PairRows:
        """Raises DataError where nothing can be learnt."""
        room = self.config.room(context)
        return pair_rows(self.writer, examples, context, room=room, pad_id=self.tokenizer.pad_id or 0)

    def prepared(
        self, rows: Rows, model: LanguageModel, places: Ids | None = None, *, progress: Progress = QUIET
    ) -> PairRows:
        """The rows with what the model says of their answers now, two numbers a pair."""
        assert isinstance(rows, PairRows), f"{self.name} draws from pairs"
        if self.needs_reference:
            rows.reference = self._logps(model, rows, places, progress)
        return rows

    def batch(self, draw: Draw) -> PairBatch:
        assert isinstance(draw.source, PairRows), f"{self.name} draws from pairs"
        return pair_batch(draw.source, draw.places)

    def said(self, model: LanguageModel, batch: Batch) -> tuple[Said, Said]:
        """What the answers of a batch cost, the chosen ones and the rejected ones."""
        asked = batch.targets != IGNORED
        hidden = model.hidden(batch.input_ids, attention_mask=batch.attention_mask)
        nats = each_nats(model, hidden[asked], batch.targets[asked])
        rows = asked.nonzero()[:, 0]
        logp = torch.zeros(len(asked), dtype=nats.dtype, device=nats.device).index_add(0, rows, -nats)
        half = len(asked) // 2
        tokens = asked.sum(dim=1)
        return Said(logp[:half], tokens[:half]), Said(logp[half:], tokens[half:])

    def loss(self, model: LanguageModel, batch: Batch) -> Loss:
        """Summed over pairs. Without the reference's log-probabilities they count as 0."""
        assert isinstance(batch, PairBatch), f"{self.name} learns from pairs"
        chosen, rejected = self.said(model, batch)
        reference = _reference(batch, chosen)
        config = self.config
        costs = pair_losses(
            chosen, rejected, reference, loss=config.loss, beta=config.beta, label_smoothing=config.label_smoothing
        )
        better, worse = (each.detach() for each in self._rewards(chosen, rejected, reference))
        total = costs.sum()
        parts = parts_of(total, better, worse)
        return Loss(total, len(costs), parts, tokens=batch.num_tokens)

    def step_readings(self, totals: Totals) -> tuple[Reading, ...]:
        return readings_of(totals, self.loss_unit)[1:]

    def readings(self, totals: Totals, source: Rows) -> tuple[Reading, ...]:  # noqa: ARG002
        return readings_of(totals, self.loss_unit)

    def answer(
        self, model: LanguageModel, examples: Sequence[Preferred], context: int, *, progress: Progress = QUIET
    ) -> list[Verdict]:
        """Of each pair the rewards; beside no reference those of one that thinks all answers alike.

        Raises DataError for a pair that has no room.
        """
        if not examples:
            return []
        source = self.rows(examples, context)
        missing = {*range(len(examples))} - {*source.owners.tolist()}
        if missing:
            raise DataError(f"{examples[min(missing)].id}: an answer has no room behind its prompt; raise context")
        if self.reference is not None and self.needs_reference:
            source.reference = self._logps(self.reference, source)
        found: list[Verdict] = []
        progress.start("compare", total=len(source), unit="pairs")
        for batch in _batches(model, source, np.arange(len(source))):
            chosen, rejected = self.said(model, batch)
            both = self._rewards(chosen, rejected, _reference(batch, chosen))
            found += [Verdict(*pair) for pair in torch.stack(both, dim=1).tolist()]
            progress.update(len(found))
        progress.finish(f"{len(found):,} pairs")
        return found

    def measures(self) -> tuple[Metric, ...]:
        return self.metrics

    def judged(self, examples: Sequence[Preferred], answers: Sequence[Verdict]) -> Columns:  # noqa: ARG002
        return judged(answers)

    def told(self, answer: Verdict) -> dict[str, Any]:
        return answer.told()

    def _rewards(self, chosen: Said, rejected: Said, reference: Tensor) -> tuple[Tensor, Tensor]:
        return rewards(chosen, rejected, reference, loss=self.config.loss, beta=self.config.beta)

    def _logps(
        self, model: LanguageModel, rows: PairRows, places: Ids | None = None, progress: Progress = QUIET
    ) -> Values:
        """(R, 2) summed log-probabilities of both answers of each row; 0 but at `places`, where these are given."""
        places = np.arange(len(rows)) if places is None else places
        found: list[Values] = []
        progress.start("reference", total=len(places), unit="pairs")
        for batch in _batches(model, rows, places):
            both = torch.stack([said.logp for said in self.said(model, batch)], dim=1)
            found.append(both.double().cpu().numpy())
            progress.update(len(found) * PAIRS_AT_ONCE)
        progress.finish(f"{len(places):,} pairs")
        logps = np.zeros((len(rows), 2))
        logps[places] = np.concatenate(found)
        return logps


def _batches(model: LanguageModel, rows: PairRows, places: Ids) -> Iterator[PairBatch]:
    """The pairs in their order, within which the model keeps no gradients and drops nothing."""
    device, was_training = next(model.parameters()).device, model.training
    model.eval()
    with torch.no_grad():
        for start in range(0, len(places), PAIRS_AT_ONCE):
            batch = pair_batch(rows, places[start : start + PAIRS_AT_ONCE]).to(device)
            assert isinstance(batch, PairBatch), "it stays one of pairs"
            yield batch
    model.train(was_training)


def _reference(batch: PairBatch, chosen: Said) -> Tensor:
    if batch.reference is None:
        return chosen.logp.new_zeros(len(chosen.logp), 2)
    return batch.reference.to(chosen.logp)
