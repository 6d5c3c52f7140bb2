"""What every row of STEPS keeps to."""

from __future__ import annotations

import pkgutil
from collections.abc import Iterable
from operator import attrgetter

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

import wenlu.corpus.steps
from wenlu.config import Config
from wenlu.corpus.record import Drop, Item, Record
from wenlu.corpus.step import StepKind, Workroom, run_steps
from wenlu.corpus.steps import STEPS, read_step

EVERY = pytest.mark.parametrize("kind", STEPS, ids=attrgetter("name"))

ENGLISH = (
    "The old house stood at the end of the lane, and nobody had lived in it for years. We went to look at it on the "
    "first day of the holidays. It was not what we had been told to expect, but that is how such stories go!"
)
CHINESE = (
    "这条路的尽头有一座老房子，已经很多年没有人住了。放假的第一天，我们去看了看它。"
    "它和别人说的不一样，不过故事总是这样的！"
)
RECORDS = (
    Record(ENGLISH, "en", {"source": "a"}),
    Record(CHINESE, "zh", {"source": "a"}),
    Record(ENGLISH.upper(), "en again", {"source": "b"}),
    Record("cafÃ© \x00 \r\n", "broken", {}),
    Record("…", "short", {}),
    Record("", "empty", {}),
    Record("def f(x):\n    return {x}\n" * 20, "code", {"source": "c"}),
)


def run(kind: StepKind, items: Iterable[Item], workers: int = 1) -> list[Item]:
    step = kind.build(read_step(kind.name), Workroom(workers=workers))
    return list(run_steps([step], items, workers))


def test_the_tuple_lists_exactly_the_files_of_the_folder() -> None:
    files = {module.name for module in pkgutil.iter_modules(wenlu.corpus.steps.__path__)}
    assert {kind.name.replace("-", "_") for kind in STEPS} == files


@EVERY
def test_settings_name_their_step_and_have_defaults(kind: StepKind) -> None:
    config = kind.config.model_validate({})
    assert config.step == kind.name
    assert isinstance(config, Config)
    assert config == read_step(kind.name)


@EVERY
def test_drops_of_earlier_steps_pass_through_in_place(kind: StepKind) -> None:
    drops = [Drop(Record(f"text {i}", f"drop {i}"), "earlier", "reason") for i in range(3)]
    items = [drops[0], RECORDS[0], drops[1], RECORDS[1], drops[2]]
    passed = run(kind, items)
    assert [item for item in passed if isinstance(item, Drop) and item.step == "earlier"] == drops
    ids = [item.record.id if isinstance(item, Drop) else item.id for item in passed]
    assert ids == ["drop 0", "en", "drop 1", "zh", "drop 2"]


@EVERY
def test_every_record_comes_out_once_in_order(kind: StepKind) -> None:
    ids = [item.record.id if isinstance(item, Drop) else item.id for item in run(kind, RECORDS)]
    assert ids == [record.id for record in RECORDS]


@EVERY
def test_drops_name_the_step_and_a_reason(kind: StepKind) -> None:
    for item in run(kind, RECORDS):
        if isinstance(item, Drop):
            assert item.step == kind.name
            assert 0 < len(item.reason) <= 40


@EVERY
def test_results_depend_neither_on_the_run_nor_on_the_number_of_workers(kind: StepKind) -> None:
    many = [Record(record.text, f"{record.id} {i}", record.meta) for i in range(150) for record in RECORDS]
    assert run(kind, many) == run(kind, many, workers=2)


@EVERY
def test_an_empty_stream_gives_an_empty_stream(kind: StepKind) -> None:
    assert run(kind, []) == []


@EVERY
@settings(max_examples=25, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(texts=st.lists(st.text(max_size=80), max_size=6))
def test_any_text_is_passed_or_dropped_without_an_error(kind: StepKind, texts: list[str]) -> None:
    records = [Record(text, str(i)) for i, text in enumerate(texts)]
    passed = run(kind, records)
    assert len(passed) == len(records)
    assert all(item.text for item in passed if isinstance(item, Record) and kind.name == "repair")


def test_a_record_is_what_it_was_where_a_step_has_nothing_to_do() -> None:
    record = Record(ENGLISH, "en", {"source": "a", "author": "b"})
    for name in ("repair", "quality", "repetition", "length", "exact-dedup", "near-dedup"):
        kind = next(kind for kind in STEPS if kind.name == name)
        passed = list(
            kind.build(kind.config.model_validate({"min_words": 20} if name == "quality" else {}), Workroom())([record])
        )
        assert passed == [record], name
