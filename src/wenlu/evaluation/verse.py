"""Whether a poem that the model continues keeps its form: the number of its lines, and their length.

A line ends at Chinese or Western punctuation or at a line break; its length is its number of other characters
without white space. The held-out poems themselves, measured alike, are the ceiling.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from typing import Annotated

import numpy as np
from pydantic import Field, PositiveInt

from wenlu.bundle import Bundle
from wenlu.config import Config
from wenlu.corpus.record import Record
from wenlu.errors import DataError
from wenlu.evaluation.result import Score
from wenlu.evaluation.scoring import score
from wenlu.evaluation.settings import EvaluateConfig
from wenlu.generation import SamplingConfig, complete
from wenlu.metrics import LINE_COUNT_VALIDITY, LINE_LENGTH_VALIDITY, Columns
from wenlu.progress import QUIET, Progress

_END = re.compile(r"[，。！？；、：,.!?;:\n]+")


class VerseConfig(Config):
    """The section `[verse]`: continue the first line of held-out poems, and measure the form of what comes."""

    poems: PositiveInt = 200
    line_counts: Annotated[tuple[PositiveInt, ...], Field(min_length=1)] = (4, 8)
    """Numbers of lines that the form allows: 4 for a quatrain (绝句), 8 for a regulated verse (律诗)."""


def lines_of(poem: str) -> list[str]:
    """The lines of a poem, without punctuation and white space."""
    return [line for part in _END.split(poem) if (line := "".join(part.split()))]


def first_line(poem: str) -> str | None:
    """The first line with the punctuation behind it; None where the poem has only one."""
    end = _END.search(poem.lstrip())
    return poem.lstrip()[: end.end()] if end is not None and lines_of(poem[end.end() :]) else None


def verse_columns(poems: Sequence[str], line_counts: Sequence[int]) -> Columns:
    """Per poem whether it has an allowed number of lines, and whether all are as long as the first."""
    lines = [lines_of(poem) for poem in poems]
    return {
        "line_count_valid": np.array([len(poem) in line_counts for poem in lines], np.int64),
        "line_length_valid": np.array([len({len(line) for line in poem}) == 1 for poem in lines], np.int64),
    }


def evaluate_verse(
    bundle: Bundle,
    records: Sequence[Record],
    config: VerseConfig,
    sampling: SamplingConfig,
    evaluate: EvaluateConfig,
    *,
    progress: Progress = QUIET,
) -> tuple[Score, ...]:
    """Scores of the continued poems, then those of the poems that people wrote.

    Raises DataError where no held-out text has a first line to continue.
    """
    found = [(record, line) for record in records if (line := first_line(record.text)) is not None][: config.poems]
    if not found:
        raise DataError("verse: no held-out text has two lines or more; are these poems?")
    continued = [
        completion.prompt + completion.text
        for completion in complete(bundle, [line for _, line in found], sampling, progress=progress)
    ]
    clusters = [record.meta.get("cluster") or record.id for record, _ in found]
    drawn = f"temp:{sampling.temperature:g}|top_p:{sampling.top_p:g}|prompt:first-line"
    written = [record.text for record, _ in found]
    return (
        *_scores(verse_columns(continued, config.line_counts), clusters, evaluate, "", drawn),
        *_scores(verse_columns(written, config.line_counts), clusters, evaluate, "written_", "people"),
    )


def _scores(
    columns: Columns, clusters: Sequence[str], config: EvaluateConfig, prefix: str, source: str
) -> Iterator[Score]:
    for metric in (LINE_COUNT_VALIDITY, LINE_LENGTH_VALIDITY):
        yield score(metric, columns, clusters, {"by": source}, config, name=prefix + metric.name)
