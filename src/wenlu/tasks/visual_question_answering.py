"""Answer questions about pictures."""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial
from typing import Any, ClassVar, Literal, Self

from wenlu.corpus.record import Record
from wenlu.errors import DataError
from wenlu.metrics import answer_f1, answer_f1_columns, exact_match, exact_match_columns
from wenlu.tasks.labelled.task import Role, required, value_of
from wenlu.tasks.labelled.text_measure import TextMeasure
from wenlu.tasks.labelled.written_language import language_of
from wenlu.tasks.pictured.task import IMAGE, asked_picture, picture_of
from wenlu.tasks.pictured.writing import PicturedPair, PicturedWritingConfig, PicturedWritingTask


class VisualQuestionAnsweringConfig(PicturedWritingConfig):
    """In which language.

    Attributes:
        language: a code such as "zh" or "en", by which the metrics cut answers into words. "auto" is "zh" where most
            of the questions' letters are Chinese characters, else "en".
    """

    roles: ClassVar[tuple[Role, ...]] = (
        Role("question", "question", "what is asked about the picture"),
        Role("answer", "answer", "a word or a few", is_answer=True),
        IMAGE,
    )
    name: Literal["visual-question-answering"] = "visual-question-answering"
    language: str = "auto"

    def learnt(self, examples: Sequence[PicturedPair]) -> Self:
        if self.language != "auto":
            return self
        return self.model_copy(update={"language": language_of([example.source for example in examples])})


class VisualQuestionAnswering(PicturedWritingTask):
    name = "visual-question-answering"
    settings = VisualQuestionAnsweringConfig
    metrics = ()
    ability = "answers questions about pictures"
    condition = "picture+question"
    config: VisualQuestionAnsweringConfig

    @classmethod
    def example_of(cls, record: Record, config: Any) -> PicturedPair:
        answer = value_of(record, "answer", config)
        if answer is not None and not answer.strip():
            raise DataError(f"{record.id}: an empty {config.column('answer')!r}, which the answer is read from")
        question = required(record, "question", config).strip()
        return PicturedPair(question, answer and answer.strip(), record.id, picture=picture_of(record))

    def asked_example(self, record: Record, config: Any) -> PicturedPair:
        question = required(record, "question", config).strip()
        return PicturedPair(question, None, record.id, picture=asked_picture(record, config))

    def text_measures(self) -> tuple[TextMeasure, ...]:
        """The share that is right, and the words that answers share with the right ones, as SQuAD counts both."""
        language = self.config.language
        return (
            TextMeasure(exact_match(language), partial(exact_match_columns, language=language)),
            TextMeasure(answer_f1(language), partial(answer_f1_columns, language=language)),
        )
