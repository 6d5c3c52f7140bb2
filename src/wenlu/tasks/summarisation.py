"""Write a short text that says what a long one says: a summary, a headline."""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial
from typing import ClassVar, Literal, Self

from wenlu.metrics import rouge, rouge_columns
from wenlu.tasks.labelled.task import Role
from wenlu.tasks.labelled.text_measure import TextMeasure
from wenlu.tasks.labelled.writing import SOURCE, TextPair, WritingConfig, WritingTask
from wenlu.tasks.labelled.written_language import language_of


class SummarisationConfig(WritingConfig):
    """In which language.

    Attributes:
        language: a code such as "zh" or "en", by which the metrics cut summaries into words. "auto" is "zh" where most
            of their letters are Chinese characters, else "en".
    """

    roles: ClassVar[tuple[Role, ...]] = (
        Role("text", "text", "the text"),
        Role("summary", "summary", "its summary or headline", is_answer=True),
    )
    name: Literal["summarisation"] = "summarisation"
    template: str = f"{SOURCE}\n\nTL;DR:\n"
    language: str = "auto"

    def learnt(self, examples: Sequence[TextPair]) -> Self:
        if self.language != "auto":
            return self
        return self.model_copy(update={"language": language_of([example.target or "" for example in examples])})


class Summarisation(WritingTask):
    name = "summarisation"
    settings = SummarisationConfig
    metrics = ()
    ability = "summarises texts"
    config: SummarisationConfig

    def text_measures(self) -> tuple[TextMeasure, ...]:
        """ROUGE-1, -2 and -L; their columns are found once."""
        language = self.config.language
        columns = partial(rouge_columns, language=language)
        return tuple(TextMeasure(rouge(variant, language), columns) for variant in ("1", "2", "L"))
