"""Answer a question with a part of a text: extractive question answering, as SQuAD's."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any, ClassVar, Literal, Self

import numpy as np
import torch
import torch.nn.functional as F
from pydantic import Field, PositiveInt
from torch import Tensor, nn

from wenlu.corpus.examples import Examples
from wenlu.corpus.record import Record
from wenlu.corpus.script import RANGES
from wenlu.errors import DataError
from wenlu.metrics import Columns, Metric, answer_f1, answer_f1_columns, exact_match, exact_match_columns
from wenlu.models import LanguageModel
from wenlu.tasks.labelled.headed import Headed
from wenlu.tasks.labelled.reading import ReadingConfig, ReadingTask
from wenlu.tasks.labelled.task import Role, parsed, required, value_of
from wenlu.tasks.spans.answers import Answer, Answers, best_spans
from wenlu.tasks.spans.examples import Question, answers_of
from wenlu.tasks.spans.rows import Asked, Cutting, QuestionRows, question_rows
from wenlu.tasks.spans.threshold import best_threshold
from wenlu.tasks.spans.windows import NULL, PairLayout
from wenlu.tasks.task import Batch, Loss, Part
from wenlu.tokenizers import Tokenizer

ALTERNATIVES = 3
_HAN = tuple((chr(first), chr(last)) for first, last in RANGES["Han"])


class QuestionAnsweringConfig(ReadingConfig):
    """How contexts are read, and which answers are considered.

    Attributes:
        overlap: tokens of the context that a window shares with the one before it, at most half of a window. (Not
            Devlin et al.'s stride, which is how much later a window begins.)
        max_question_tokens: a longer question loses its end; it never takes more than half of a row.
        null: whether a question may have no answer; "auto": where one of the training part has none.
        null_threshold: by how much "no answer" has to score higher than the best one to be said.
        language: whose rules compare answers: "en", "zh", …; "auto": Chinese where most contexts of the training part
            have Chinese characters, else English.
    """

    suits: ClassVar[str] = "families that read text"
    class_head: ClassVar[str | None] = "question-answering"
    of_answering: ClassVar[tuple[str, ...]] = (
        *("abstain_below", "language", "max_answer_tokens", "max_question_tokens"),
        *("n_best", "null", "null_threshold", "overlap"),
    )
    roles: ClassVar[tuple[Role, ...]] = (
        Role("question", "question", "the question"),
        Role("context", "context", "the text that has the answer"),
        Role("answers", "answers", "a JSON list of answers, each with text and start", is_answer=True),
        Role("is_impossible", "is_impossible", "true: there is no answer", is_optional=True, is_answer=True),
    )
    name: Literal["question-answering"] = "question-answering"
    overlap: int = Field(default=64, ge=0)
    max_question_tokens: PositiveInt = 64
    max_answer_tokens: PositiveInt = 30
    n_best: PositiveInt = 20
    null: bool | Literal["auto"] = "auto"
    null_threshold: float = 0.0
    language: str = Field(default="auto", min_length=2)

    def learnt(self, examples: Sequence[Question]) -> Self:
        if not any(example.answers for example in examples):
            raise DataError("no question of the training part has an answer; name their column: data.answers=COLUMN")
        null = any(example.answers == () for example in examples) if self.null == "auto" else self.null
        language = self.language
        if language == "auto":
            chinese = sum(any(a <= one <= b for one in each.context for a, b in _HAN) for each in examples)
            language = "zh" if chinese > len(examples) / 2 else "en"
        return self.model_copy(update={"null": null, "language": language})


@dataclass(frozen=True)
class ChosenAnswer:
    """The answer that is given, None where the model says that there is none, and what it was chosen of."""

    chosen: Answer | None
    answers: Answers

    @property
    def text(self) -> str:
        return "" if self.chosen is None else self.chosen.text


class SpanHead(nn.Module):
    """Scores (B, T, 2): that the answer starts, and that it ends there."""

    def __init__(self, hidden_size: int, dropout: float) -> None:
        super().__init__()
        self.dropout = nn.Dropout(dropout)
        self.qa_outputs = nn.Linear(hidden_size, 2)
        nn.init.normal_(self.qa_outputs.weight, std=0.02)
        nn.init.zeros_(self.qa_outputs.bias)

    def forward(self, x: Tensor) -> Tensor:
        scores: Tensor = self.qa_outputs(self.dropout(x))
        return scores


class QuestionAnswering(ReadingTask):
    """The span of the context whose start and end score highest, over all windows of the question.

    A window that does not hold the whole answer is learnt to have none (Devlin et al. 2019, arXiv:1810.04805, 4.3).
    """

    name = "question-answering"
    settings = QuestionAnsweringConfig
    example = Question
    metrics = (answer_f1("en"), exact_match("en"))
    target = "window"
    ability = "answers questions about a text"
    config: QuestionAnsweringConfig

    def __init__(self, config: QuestionAnsweringConfig, tokenizer: Tokenizer) -> None:
        super().__init__(config, tokenizer)
        self.layout = PairLayout.of(tokenizer)
        self.language = "en" if config.language == "auto" else config.language

    @classmethod
    def example_of(cls, record: Record, config: QuestionAnsweringConfig) -> Question:
        context = required(record, "context", config)
        if not record.text.strip():
            raise DataError(f"{record.id}: an empty question")
        answers = None
        if value_of(record, "answers", config) is not None:
            answers = answers_of(parsed(record, "answers", config), context, record.id)
        impossible = value_of(record, "is_impossible", config)
        if impossible is not None:
            if impossible.lower() not in ("true", "false"):
                raise DataError(f"{record.id}: is_impossible {impossible[:20]!r} is not true or false")
            if impossible.lower() == "true":
                if answers:
                    raise DataError(f"{record.id}: is_impossible is true, yet it has the answer {answers[0]}")
                answers = ()
        return Question(record.text, context, answers, record.id)

    def head(self, hidden_size: int) -> SpanHead:
        return SpanHead(hidden_size, self.config.head_dropout)

    def rows(self, examples: Sequence[Question], context: int) -> QuestionRows:
        """Each distinct context is cut into tokens once; the first answer is the one to learn.

        Raises DataError where only some examples have answers.
        """
        asked = [
            Asked(each.question, each.context, each.answers[0] if each.answers else None, each.id) for each in examples
        ]
        settings = self.config
        cutting = Cutting(self.layout, context, settings.max_question_tokens, settings.overlap)
        unknown = [example.id for example in examples if example.answers is None]
        if unknown and len(unknown) < len(examples):
            raise DataError(f"{unknown[0]}: no answers, while others have some; give [] where the context has none")
        return question_rows(asked, cutting, self.tokenizer, are_answered=not unknown)

    def loss(self, model: LanguageModel, batch: Batch) -> Loss:
        """Summed cross-entropy of start and of end in nats, among the context and no answer; the number of windows."""
        headed = self.headed(model)
        scores = self._scores(headed, batch)
        places = batch.labels
        assert places is not None, "a batch to learn from has answers"
        assert batch.attention_mask is not None, "a batch of texts has a mask"
        assert batch.token_types is not None, "a question and its context are a pair"
        possible = (batch.attention_mask * batch.token_types).bool()
        possible[:, NULL] = True
        scores = scores.masked_fill(~possible[..., None], float("-inf"))
        sums = [F.cross_entropy(scores[..., i], places[:, i], reduction="sum") for i in (0, 1)]
        right = scores.argmax(dim=1) == places
        count = len(places)
        parts = {
            name: Part(nats.item(), count, int(hits.sum()))
            for name, nats, hits in zip(("start", "end"), sums, right.T, strict=True)
        }
        return Loss(sums[0] + sums[1], count, parts, tokens=int(batch.attention_mask.sum()))

    def _scores(self, headed: Headed, batch: Batch) -> Tensor:
        scores: Tensor = headed.task_head(self.states(headed, batch))
        return scores.to(torch.promote_types(scores.dtype, torch.float32))

    def outputs(self, model: Headed, batch: Batch) -> list[np.ndarray[Any, Any]]:
        """(T, 2) of each row."""
        return list(self._scores(model, batch).cpu().numpy())

    def bare(self, examples: Sequence[Question]) -> list[Question]:
        return [replace(example, answers=None) for example in examples]

    def answered(
        self, examples: Sequence[Question], outputs: Sequence[Sequence[np.ndarray[Any, Any]]], source: Examples
    ) -> list[ChosenAnswer]:
        assert isinstance(source, QuestionRows), "made by `rows`"
        firsts = np.searchsorted(source.owners, np.arange(len(examples))).tolist()
        found = []
        for example, first, rows in zip(examples, firsts, outputs, strict=True):
            answers = best_spans(
                [row[:, 0] for row in rows],
                [row[:, 1] for row in rows],
                [source.window(first + number) for number in range(len(rows))],
                example.context,
                n_best=self.config.n_best,
                max_answer_tokens=self.config.max_answer_tokens,
                null=self.config.null is True,
            )
            found.append(ChosenAnswer(answers.chosen(self.config.null_threshold), answers))
        return found

    def tuned(self, model: LanguageModel, examples: Sequence[Question], context: int) -> dict[str, Any]:
        """The threshold for no answer with the highest F1."""
        if self.config.null is not True or not examples:
            return {}
        found = [answer.answers for answer in self.answer(model, examples, context)]
        golds = [example.texts for example in examples]
        best = [answers.best[0].text if answers.best else "" for answers in found]
        answered = answer_f1_columns(best, golds, self.language)["answer_f1"]
        unanswered = answer_f1_columns([""] * len(golds), golds, self.language)["answer_f1"]
        margins = [answers.null_margin for answers in found]
        return {"null_threshold": round(best_threshold(margins, list(answered), list(unanswered)), 6)}

    def measures(self) -> tuple[Metric, ...]:
        return answer_f1(self.language), exact_match(self.language)

    def judged(self, examples: Sequence[Question], answers: Sequence[Any]) -> Columns:
        """Of answers with a `text`, that of no answer empty; the best of several right ones counts."""
        unknown = next((example.id for example in examples if example.answers is None), None)
        if unknown is not None:
            raise DataError(f"{unknown}: no answers to judge by; name their column: data.answers=COLUMN")
        texts, golds = [answer.text for answer in answers], [example.texts for example in examples]
        exact = exact_match_columns(texts, golds, self.language)
        correct = exact["exact_match"].astype(int)
        return {**answer_f1_columns(texts, golds, self.language), **exact, "correct": correct}

    def told(self, answer: ChosenAnswer) -> dict[str, Any]:
        """The empty text where there is no answer; probabilities are among all spans, and no answer where it may be."""
        chosen, answers = answer.chosen, answer.answers
        found: dict[str, Any] = {
            "prediction": answer.text,
            "start": None if chosen is None else chosen.start,
            "end": None if chosen is None else chosen.end,
            "probability": round(answers.null_probability if chosen is None else chosen.probability, 6),
        }
        if self.config.null is True:
            found["no_answer"] = round(answers.null_probability, 6)
        others = [one for one in answers.best if one is not chosen][:ALTERNATIVES]
        return {**found, "alternatives": [_plain(one) for one in others]}


def _plain(answer: Answer) -> dict[str, Any]:
    return {
        "text": answer.text,
        "start": answer.start,
        "end": answer.end,
        "probability": round(answer.probability, 6),
    }
