"""Give an answer a reward, learnt from pairs of which people like one better: the Bradley–Terry model."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import Any, ClassVar, Literal

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from wenlu.corpus.examples import Examples
from wenlu.corpus.packing import Rows
from wenlu.corpus.record import Record
from wenlu.errors import DataError
from wenlu.metrics import Columns, Metric
from wenlu.models import LanguageModel
from wenlu.tasks.dialogues.rows import Writer
from wenlu.tasks.labelled.headed import Headed
from wenlu.tasks.labelled.reading import ReadingConfig, ReadingTask
from wenlu.tasks.preferences.example import Preferred, preferred_of
from wenlu.tasks.preferences.rows import PairBatch, PairRows, pair_batch, pair_rows
from wenlu.tasks.preferences.settings import PairConfig
from wenlu.tasks.preferences.verdict import MEASURES, Verdict, judged, parts_of, readings_of
from wenlu.tasks.task import Batch, Draw, Loss, Reading, Totals
from wenlu.tokenizers import Tokenizer, end_of_turn, with_chat_template


class RewardConfig(PairConfig, ReadingConfig):
    """How rewards are learnt from pairs."""

    class_head: ClassVar[str | None] = None
    name: Literal["reward"] = "reward"


class RewardHead(nn.Module):
    """The reward (B,) of pooled vectors (B, D)."""

    def __init__(self, hidden_size: int, dropout: float) -> None:
        super().__init__()
        self.dropout = nn.Dropout(dropout)
        self.score = nn.Linear(hidden_size, 1, bias=False)  # of pairs only the difference is known

    def forward(self, x: Tensor) -> Tensor:
        out: Tensor = self.score(self.dropout(x))
        return out.squeeze(-1)


class Reward(ReadingTask):
    """The better answer is given the higher reward: -log σ(r(chosen) - r(rejected)) (Bradley & Terry 1952; Ouyang et
    al. 2022, arXiv:2203.02155).

    The reward is read off the token that ends the answer, which has seen the whole conversation.
    """

    name = "reward"
    settings = RewardConfig
    example = Preferred
    metrics = MEASURES
    target = "pair"
    ability = "rewards answers"
    config: RewardConfig

    def __init__(self, config: RewardConfig, tokenizer: Tokenizer) -> None:
        super().__init__(config, with_chat_template(tokenizer))
        self.writer = Writer(self.tokenizer, end_of_turn(self.tokenizer))

    @classmethod
    def example_of(cls, record: Record, config: RewardConfig) -> Preferred:
        return preferred_of(record, config.pair_columns)

    def head(self, hidden_size: int) -> RewardHead:
        return RewardHead(hidden_size, self.config.head_dropout)

    def rows(self, examples: Sequence[Preferred], context: int) -> PairRows:
        """Raises DataError where nothing can be learnt."""
        room = self.config.room(context)
        return pair_rows(self.writer, examples, context, room=room, pad_id=self.tokenizer.pad_id or 0)

    def batch(self, draw: Draw) -> PairBatch:
        """As labels 1 for the better answers and 0 for the others."""
        assert isinstance(draw.source, PairRows), f"{self.name} draws from pairs"
        both = pair_batch(draw.source, draw.places)
        labels = torch.arange(len(both.input_ids)) < len(both.input_ids) // 2
        return replace(both, targets=torch.empty(0), labels=labels.long())

    def loss(self, model: LanguageModel, batch: Batch) -> Loss:
        """Summed over pairs, in nats."""
        chosen, rejected = self._rewards(model, batch)
        total = -F.logsigmoid(chosen - rejected).sum()
        parts = parts_of(total, chosen.detach(), rejected.detach())
        return Loss(total, len(chosen), parts, tokens=batch.num_tokens)

    def readings(self, totals: Totals, source: Rows) -> tuple[Reading, ...]:  # noqa: ARG002
        return readings_of(totals, self.loss_unit)

    def step_readings(self, totals: Totals) -> tuple[Reading, ...]:
        return readings_of(totals, self.loss_unit)[1:]

    def outputs(self, model: Headed, batch: Batch) -> list[Verdict]:
        both = torch.stack(self._rewards(model, batch), dim=1).double().cpu()
        return [Verdict(*pair) for pair in both.tolist()]

    def answered(
        self,
        examples: Sequence[Preferred],
        outputs: Sequence[Sequence[Any]],
        source: Examples,  # noqa: ARG002
    ) -> list[Verdict]:
        """Raises DataError for a pair that has no room."""
        for example, found in zip(examples, outputs, strict=True):
            if not found:
                raise DataError(f"{example.id}: an answer has no room behind its prompt; raise context")
        return [found[0] for found in outputs]

    def measures(self) -> tuple[Metric, ...]:
        return self.metrics

    def judged(self, examples: Sequence[Preferred], answers: Sequence[Verdict]) -> Columns:  # noqa: ARG002
        return judged(answers)

    def told(self, answer: Verdict) -> dict[str, Any]:
        return answer.told()

    def _rewards(self, model: LanguageModel, batch: Batch) -> tuple[Tensor, Tensor]:
        """(B,) of the better answers, and of the others, in float32 at least."""
        found = self.read(model, batch)
        found = found.to(torch.promote_types(found.dtype, torch.float32))
        return found[: len(found) // 2], found[len(found) // 2 :]
