"""Write the body of a function, or what fills a gap in code."""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import Any

import numpy as np

from wenlu.corpus.record import Record
from wenlu.errors import ConfigError, DataError
from wenlu.metrics import EDIT_SIMILARITY, PARSES, Columns, Metric, edit_similarity_columns
from wenlu.tasks.coding.ends import cut_at_end, function_in, parses
from wenlu.tasks.coding.gaps import FILL, Sentinels, around, taken_out
from wenlu.tasks.coding.settings import CodeConfig, CodeExample
from wenlu.tasks.labelled.generative import WrittenRows, WrittenText
from wenlu.tasks.labelled.task import value_of
from wenlu.tasks.labelled.text_measure import EXACT_MATCH, TextMeasure
from wenlu.tasks.labelled.writing import TextPair, WritingTask
from wenlu.tokenizers import Tokenizer

_BLANK_LINES = re.compile(r"\A(?:[ \t]*\n)+")


class Code(WritingTask):
    """A prompt is followed by a line break, and its completion begins with the indentation.

    Gaps are further rows of the same functions: what stands around a part that was taken out, and as the target that
    part. An answer to a prompt ends where the function does; one to a gap, where the model ends it.
    """

    name = "code"
    settings = CodeConfig
    example = CodeExample
    metrics = ()
    ability = "writes functions and fills gaps in code"
    config: CodeConfig

    def __init__(self, config: CodeConfig, tokenizer: Tokenizer) -> None:
        super().__init__(config, tokenizer)
        named = None if config.sentinels == "auto" else config.sentinels
        self._sentinels = Sentinels.of(tokenizer, named) if config.fill_in_the_middle else None

    def text_measures(self) -> tuple[TextMeasure, ...]:
        return TextMeasure(EDIT_SIMILARITY, edit_similarity_columns), EXACT_MATCH

    @classmethod
    def example_of(cls, record: Record, config: Any) -> CodeExample:
        """A prompt that has the mark <fill> once, and no answer, is a gap."""
        prompt, suffix = record.text, _value(record, "suffix", config)
        completion = _value(record, "completion", config)
        if completion is not None and not completion.strip():
            raise DataError(f"{record.id}: an empty {config.column('completion')!r}, which completion is read from")
        if suffix is None and completion is None and FILL in prompt:
            if prompt.count(FILL) > 1:
                raise DataError(f"{record.id}: has {FILL} {prompt.count(FILL)} times; one gap can be filled at a time")
            prompt, _, suffix = prompt.partition(FILL)
        if suffix is not None:
            if not config.fill_in_the_middle:
                raise DataError(f"{record.id}: the model has not learnt to fill gaps (task.fill_in_the_middle = 0)")
            return CodeExample(prompt, completion, record.id, suffix)
        if not prompt.strip():
            raise DataError(f"{record.id}: an empty {config.column('prompt')!r}, which prompt is read from")
        kept = prompt.rstrip()
        if completion is not None:
            indentation = prompt[len(kept) :].rpartition("\n")[2]
            completion = _BLANK_LINES.sub("", indentation + completion).rstrip()
        return CodeExample(
            f"{kept}\n",
            completion,
            record.id,
            unit_tests=_value(record, "unit_tests", config),
            entry_point=_value(record, "entry_point", config),
        )

    def rows(self, examples: Sequence[TextPair], context: int) -> WrittenRows:
        return super().rows([*examples, *self.gaps(examples)], context)

    def learnt_rows(self, examples: Sequence[TextPair], context: int) -> WrittenRows:
        return super().rows(examples, context)

    def gaps(self, examples: Sequence[TextPair]) -> list[CodeExample]:
        """Functions with a part taken out, so many that they are the share of all rows that the settings say."""
        share = self.config.fill_in_the_middle
        whole = [example for example in examples if isinstance(example, CodeExample) and example.suffix is None]
        return [
            CodeExample(parts.prefix, parts.middle, example.id, parts.suffix, suffix_first)
            for example in whole
            if share and example.target is not None
            for parts, suffix_first in taken_out(example.source + example.target, example.id, share / (1 - share))
        ]

    def written(self, ids: Sequence[int], logprob: float | None = None) -> WrittenText:
        return WrittenText(self.tokenizer.decode(ids).rstrip(), logprob, len(ids))

    def answered(self, example: Any, text: str, ids: Sequence[int], logprob: float | None) -> WrittenText:
        if example.suffix is not None:
            return WrittenText(text, logprob, len(ids))
        function = example.entry_point or function_in(example.source)
        body = text if function is None else cut_at_end(example.source, text, function)
        return WrittenText(body.rstrip(), logprob, len(ids))

    def measures(self) -> tuple[Metric, ...]:
        return (*super().measures(), PARSES)

    def judged(self, examples: Sequence[TextPair], answers: Sequence[WrittenText]) -> Columns:
        found = [_is_python(example, answer.text) for example, answer in zip(examples, answers, strict=True)]
        return {**super().judged(examples, answers), "parses": np.array(found, np.int64)}

    def _prompts(self, examples: Sequence[TextPair], context: int) -> tuple[list[list[int]], int]:
        gaps = [example for example in examples if _suffix(example) is not None]
        asked, cut = super()._prompts([example for example in examples if _suffix(example) is None], context)
        if not gaps:
            return asked, cut
        filled, cut_gaps = self._asked_to_fill(gaps, context)
        plain, gapped = iter(asked), iter(filled)
        return [next(plain if _suffix(example) is None else gapped) for example in examples], cut + cut_gaps

    def _asked_to_fill(self, gaps: Sequence[TextPair], context: int) -> tuple[list[list[int]], int]:
        assert self._sentinels is not None, "gaps are examples of models that learn to fill them"
        opening = self.tokenizer.opening
        room = self.config.limits(context)[0] - len(opening) - 3
        if room < 2:
            raise ConfigError(f"train.context={context}: no room for what stands around a gap; set a larger one")
        before = self.tokenizer.encode_batch([gap.source for gap in gaps])
        behind = self.tokenizer.encode_batch([_suffix(gap) or "" for gap in gaps])
        asked = [
            [*opening, *self._sentinels.arranged(*around(prefix, suffix, room), suffix_first=_is_suffix_first(gap))]
            for gap, prefix, suffix in zip(gaps, before, behind, strict=True)
        ]
        return asked, sum(len(prefix) + len(suffix) > room for prefix, suffix in zip(before, behind, strict=True))


def _value(record: Record, role: str, config: CodeConfig) -> str | None:
    """As `value_of`; files of one layout have their own columns, whatever the settings say of others."""
    found = value_of(record, role, config)
    return record.meta.get(role) if found is None else found


def _suffix(example: TextPair) -> str | None:
    return example.suffix if isinstance(example, CodeExample) else None


def _is_suffix_first(example: TextPair) -> bool:
    return isinstance(example, CodeExample) and example.suffix_first


def _is_python(example: TextPair, answer: str) -> bool:
    """Of the whole text; of the answer alone where the prompt is no code but says what to write."""
    suffix = _suffix(example)
    if suffix is None and function_in(example.source.lstrip()) is None and not parses(example.source):
        return parses(answer)
    return parses(example.source + answer + (suffix or ""))
