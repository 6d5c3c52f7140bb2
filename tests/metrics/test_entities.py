"""Entity scores are those of strict seqeval, in IOB2 and in BIOES."""

from __future__ import annotations

import os
import warnings
from typing import Any

import numpy as np
import pytest
from seqeval.metrics import classification_report
from seqeval.metrics import f1_score as lenient_f1
from seqeval.metrics.v1 import precision_recall_fscore_support as strict_scores
from seqeval.scheme import IOB2, IOBES, Entities

from wenlu.metrics import ENTITY_F1, ENTITY_PRECISION, ENTITY_RECALL, ClassRow, Metric, Span, entity_columns, per_type

CASES = 1000 if os.environ.get("WENLU_PROOF") == "1" else 60
KINDS = ("PER", "LOC", "ORG")
METRICS = (ENTITY_PRECISION, ENTITY_RECALL, ENTITY_F1)


def spans(tags: list[list[str]], scheme: Any) -> list[set[Span]]:
    return [{(e.start, e.end, e.tag) for e in row} for row in Entities(tags, scheme).entities]


def random_tags(rng: np.random.Generator, prefixes: str, lengths: list[int]) -> list[list[str]]:
    """Any tag anywhere: many of the sequences are not well-formed."""
    tags = ["O", *(f"{prefix}-{kind}" for prefix in prefixes for kind in KINDS)]
    return [rng.choice(tags, length).tolist() for length in lengths]


def copied(rng: np.random.Generator, tags: list[list[str]], others: list[list[str]]) -> list[list[str]]:
    """`tags` with some of `others`, so that many entities are right."""
    return [
        [a if rng.random() < 0.8 else b for a, b in zip(row, other, strict=True)]
        for row, other in zip(tags, others, strict=True)
    ]


@pytest.mark.parametrize(("prefixes", "scheme"), [("BI", IOB2), ("BIES", IOBES)], ids=["IOB2", "BIOES"])
def test_they_are_strict_seqevals(prefixes: str, scheme: Any) -> None:
    rng = np.random.default_rng(0)
    for _ in range(CASES):
        lengths = rng.integers(1, 15, rng.integers(1, 6)).tolist()
        gold = random_tags(rng, prefixes, lengths)
        predicted = copied(rng, gold, random_tags(rng, prefixes, lengths))
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # of types that are never predicted, or never gold
            *expected, _ = strict_scores(gold, predicted, average="micro", scheme=scheme, zero_division=0)
            report = classification_report(
                gold, predicted, mode="strict", scheme=scheme, output_dict=True, zero_division=0
            )
        wanted, found = spans(gold, scheme), spans(predicted, scheme)
        columns = entity_columns(wanted, found)
        assert [metric.compute(columns) for metric in METRICS] == pytest.approx(expected, abs=1e-12)
        for row in per_type(wanted, found):
            told = report[row.label]
            assert row.support == told["support"]
            expected_row = [told["precision"], told["recall"], told["f1-score"]]
            assert [row.precision, row.recall, row.f1] == pytest.approx(expected_row, abs=1e-12)
            of_kind = entity_columns(wanted, found, row.label)
            assert [metric.compute(of_kind) for metric in METRICS] == pytest.approx(expected_row, abs=1e-12)


def test_an_entity_that_starts_inside_is_none_where_lenient_seqeval_takes_it() -> None:
    gold, predicted = [["B-PER", "I-PER"]], [["I-PER", "I-PER"]]
    assert lenient_f1(gold, predicted) == 1
    assert ENTITY_F1.compute(entity_columns(spans(gold, IOB2), spans(predicted, IOB2))) == 0


@pytest.mark.parametrize("wrong", [(0, 3, "PER"), (1, 2, "PER"), (0, 2, "LOC")], ids=["end", "start", "type"])
def test_an_entity_with_one_thing_wrong_is_wrong(wrong: Span) -> None:
    columns = entity_columns([{(0, 2, "PER"), (4, 5, "LOC")}], [{wrong, (4, 5, "LOC")}])
    assert [metric.compute(columns) for metric in METRICS] == [0.5, 0.5, 0.5]


@pytest.mark.parametrize("metric", METRICS, ids=lambda metric: metric.name)
def test_texts_without_entities_score_zero_without_a_warning(metric: Metric) -> None:
    assert metric.compute(entity_columns([set(), set()], [set(), set()])) == 0


def test_types_are_listed_by_name_though_one_side_alone_has_them() -> None:
    assert per_type([{(0, 1, "PER")}], [{(0, 1, "LOC")}]) == [
        ClassRow("LOC", precision=0.0, recall=0.0, f1=0.0, support=0),
        ClassRow("PER", precision=0.0, recall=0.0, f1=0.0, support=1),
    ]
    assert per_type([set()], [set()]) == []
