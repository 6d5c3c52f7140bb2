"""Write in one language what a text says in another."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from functools import partial
from typing import ClassVar, Literal, Self

from wenlu.corpus.record import Record
from wenlu.errors import UsageError
from wenlu.metrics import bleu, bleu_columns, chrf, chrf_columns, ter, ter_columns
from wenlu.tasks.labelled.task import Role, value_of
from wenlu.tasks.labelled.text_measure import TextMeasure
from wenlu.tasks.labelled.writing import TextPair, WritingConfig, WritingTask
from wenlu.tasks.labelled.written_language import language_of


class TranslationConfig(WritingConfig):
    """From which language into which.

    Attributes:
        source_language, target_language: codes such as "zh" and "en"; by the target's the metrics cut texts into words.
            "auto" is "zh" where most letters are Chinese characters, else "en". `prefix` and `template` may name
            them: "translate {source_language} to {target_language}: ".
    """

    roles: ClassVar[tuple[Role, ...]] = (
        Role("source", "source", "the text"),
        Role("target", "target", "its translation", is_answer=True),
        Role("mark", "mark", "what stands before the text, as <BT> where a model wrote it", is_optional=True),
    )
    name: Literal["translation"] = "translation"
    source_language: str = "auto"
    target_language: str = "auto"

    def reads(self, record: Record) -> str:
        return (value_of(record, "mark", self) or "") + super().reads(record)

    @property
    def facts(self) -> Mapping[str, str]:
        return {"source_language": self.source_language, "target_language": self.target_language}

    def learnt(self, examples: Sequence[TextPair]) -> Self:
        source, target = self.source_language, self.target_language
        if source == "auto":
            source = language_of([example.source for example in examples])
        if target == "auto":
            target = language_of([example.target or "" for example in examples])
        return self.model_copy(update={"source_language": source, "target_language": target})


class Translation(WritingTask):
    name = "translation"
    settings = TranslationConfig
    metrics = ()
    ability = "translates texts"
    config: TranslationConfig

    def text_measures(self) -> tuple[TextMeasure, ...]:
        """chrF, BLEU, and TER where the language has words."""
        language = self.config.target_language
        measures = (
            TextMeasure(chrf(), chrf_columns),
            TextMeasure(bleu(language), partial(bleu_columns, language=language)),
        )
        try:
            return (*measures, TextMeasure(ter(language), partial(ter_columns, language=language)))
        except UsageError:
            return measures
