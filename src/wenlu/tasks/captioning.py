"""Say in words what a picture shows."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from functools import partial
from typing import Any, ClassVar, Literal, Self

from wenlu.corpus.record import Record
from wenlu.errors import DataError
from wenlu.metrics import chrf, chrf_columns, exact_match, exact_match_columns, rouge, rouge_columns
from wenlu.tasks.labelled.generative import no_answer
from wenlu.tasks.labelled.task import Role, value_of
from wenlu.tasks.labelled.text_measure import TextMeasure
from wenlu.tasks.labelled.written_language import language_of
from wenlu.tasks.pictured.task import IMAGE, asked_picture, picture_of
from wenlu.tasks.pictured.writing import PicturedPair, PicturedWritingConfig, PicturedWritingTask


class CaptioningConfig(PicturedWritingConfig):
    """In which language.

    Attributes:
        language: a code such as "zh" or "en", by which the metrics cut captions into words. "auto" is "zh" where most
            of their letters are Chinese characters, else "en".
    """

    roles: ClassVar[tuple[Role, ...]] = (Role("text", "text", "the caption", is_answer=True), IMAGE)
    name: Literal["captioning"] = "captioning"
    language: str = "auto"

    def texts_of(self, record: Record) -> Iterator[str]:
        yield record.text

    def learnt(self, examples: Sequence[PicturedPair]) -> Self:
        if self.language != "auto":
            return self
        return self.model_copy(update={"language": language_of([example.target or "" for example in examples])})


class Captioning(PicturedWritingTask):
    name = "captioning"
    settings = CaptioningConfig
    metrics = ()
    ability = "describes pictures"
    config: CaptioningConfig

    @classmethod
    def example_of(cls, record: Record, config: Any) -> PicturedPair:
        caption = value_of(record, "text", config)
        if caption is not None and not caption.strip():
            raise DataError(f"{record.id}: an empty {config.column('text')!r}, which the caption is read from")
        return PicturedPair("", caption and caption.strip(), record.id, picture=picture_of(record))

    def asked_example(self, record: Record, config: Any) -> PicturedPair:
        return PicturedPair("", None, record.id, picture=asked_picture(record, config))

    def references(self, examples: Sequence[Any]) -> list[str]:
        for example in examples:
            if example.target is None:
                raise no_answer(example.id, "text")
        return self.all_targets(examples)

    def text_measures(self) -> tuple[TextMeasure, ...]:
        """chrF, the share that is word for word right, and ROUGE-L."""
        language = self.config.language
        return (
            TextMeasure(chrf(), chrf_columns),
            TextMeasure(exact_match(language), partial(exact_match_columns, language=language)),
            TextMeasure(rouge("L", language), partial(rouge_columns, language=language)),
        )
