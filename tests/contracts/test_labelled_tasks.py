"""What every labelled task owes: a row, a baseline, examples by columns, a loss that learns, answers that are told."""

from __future__ import annotations

import json
from dataclasses import replace
from operator import attrgetter
from pathlib import Path

import numpy as np
import pytest
import torch
from tests.tasks.labelled import CONTEXT, LABELLED, NewTokenizer, records_of, seeing, settled
from tests.tasks.tiny import SIZES

import wenlu.tasks
from wenlu.bundle import Bundle
from wenlu.corpus.examples import Examples
from wenlu.corpus.pictures.reference import DIGEST, PICTURE
from wenlu.errors import WeightsError
from wenlu.evaluation.baselines import BASELINES
from wenlu.generation import SamplingConfig
from wenlu.generation.answering import answers_to
from wenlu.models import LanguageModel, ModelConfig, family
from wenlu.tasks import LABELLED_TASKS, LabelledTask, load_task, new_task, read_settings
from wenlu.tasks.task import Draw
from wenlu.training.batches import Batches

MOST_STEPS, ENOUGH = 300, 0.002
PLACE = (PICTURE, DIGEST)
"""Where a record's picture is, whatever its column is called."""
each_task = pytest.mark.parametrize("row", LABELLED_TASKS, ids=attrgetter("name"))


@pytest.fixture
def task(row: type[LabelledTask], new_tokenizer: NewTokenizer) -> LabelledTask:
    config = settled(row.name)
    task = new_task(config, new_tokenizer(special=config.special_tokens))
    assert isinstance(task, row)
    return seeing(task, tiny_config(task))


@pytest.fixture
def examples(task: LabelledTask) -> list[object]:
    return [type(task).example_of(record, task.config) for record in records_of(task.config)]


@pytest.fixture
def source(task: LabelledTask, examples: list[object]) -> Examples:
    return task.rows(examples, CONTEXT)


@pytest.fixture
def model(task: LabelledTask) -> LanguageModel:
    model = task.trained(tiny_body(task))
    task.set_out(model, len(LABELLED[task.name].rows))
    return model


def tiny_body(task: LabelledTask) -> LanguageModel:
    torch.manual_seed(0)
    return family(LABELLED[task.name].family).build(tiny_config(task), dtype=torch.float64)


def tiny_config(task: LabelledTask) -> ModelConfig:
    chosen = family(LABELLED[task.name].family)
    known = chosen.config.model_fields
    tokens = dict.fromkeys(("bos_token_id", "eos_token_id", "decoder_start_token_id"), task.tokenizer.eos_id)
    needed = task.config.new_model_settings(task.tokenizer)
    sizes = {key: value for key, value in {**SIZES, **tokens, **needed}.items() if key in known}
    return chosen.config(vocab_size=task.tokenizer.vocab_size, **sizes)


def answers_of(task: LabelledTask, model: LanguageModel, examples: list[object]) -> list[object]:
    bundle = Bundle(model, task.tokenizer, task, model.config, Path("tiny"))
    return answers_to(bundle, examples, CONTEXT, SamplingConfig(max_new_tokens=CONTEXT))


def draw(source: Examples, rows: list[int]) -> Draw:
    return Draw.at(source, np.array(rows), seed=5)


def test_the_tuple_lists_the_tasks_that_have_examples_and_baselines() -> None:
    names = {task.name for task in LABELLED_TASKS}
    assert names == set(LABELLED) == set(BASELINES)
    folder = Path(wenlu.tasks.__file__).parent
    assert all((folder / f"{name.replace('-', '_')}.py").is_file() for name in names)


@each_task
def test_settings_bear_the_name_and_refuse_what_they_do_not_know(row: type[LabelledTask]) -> None:
    assert read_settings(row.name).name == row.name
    with pytest.raises(ValueError, match="namey: unknown key; did you mean name"):
        read_settings({"name": row.name, "namey": 1})


@each_task
def test_columns_may_have_other_names(row: type[LabelledTask], task: LabelledTask, examples: list[object]) -> None:
    other = {role.name: f"my {role.column}" for role in task.config.roles}
    config = task.config.model_copy(update={"columns": other})
    renamed = [
        replace(record, meta={name if name in PLACE else f"my {name}": value for name, value in record.meta.items()})
        for record in records_of(task.config)
    ]
    assert [row.example_of(record, config) for record in renamed] == examples


@each_task
def test_records_without_an_answer_can_be_asked(task: LabelledTask, model: LanguageModel) -> None:
    answers = {task.config.column(role.name) for role in task.config.roles if role.is_answer}
    bare = [
        replace(record, meta={name: value for name, value in record.meta.items() if name not in answers})
        for record in records_of(task.config)[:2]
    ]
    found = answers_of(task, model, [type(task).example_of(record, task.config) for record in bare])
    assert len(found) == 2


@each_task
def test_no_row_is_longer_than_the_context(source: Examples) -> None:
    assert 0 < source.inputs.sizes.max() <= CONTEXT
    assert source.targets is None or source.targets.sizes.max() <= CONTEXT


@each_task
def test_every_row_stands_in_an_epoch_once_and_again_the_same(source: Examples) -> None:
    per_step = 2
    steps = len(source) // per_step
    first, again = (
        np.concatenate([Batches(source, per_step, seed=3).rows(step) for step in range(steps)]) for _ in range(2)
    )
    assert np.array_equal(first, again)
    assert len({*first.tolist()}) == steps * per_step


@each_task
def test_the_loss_of_two_halves_is_that_of_the_whole(
    task: LabelledTask, source: Examples, model: LanguageModel
) -> None:
    model.eval()
    with torch.no_grad():
        whole = task.loss(model, task.batch(draw(source, [0, 1, 2, 3])))
        halves = [task.loss(model, task.batch(draw(source, rows))) for rows in ([0, 1], [2, 3])]
    assert whole.count == sum(half.count for half in halves)
    if not task.is_separable:  # each has more others to be told from
        assert whole.sum.item() > sum(half.sum.item() for half in halves)
        return
    assert whole.sum.item() == pytest.approx(sum(half.sum.item() for half in halves), rel=1e-7)


@each_task
def test_it_learns_eight_examples_by_heart_and_says_them(
    task: LabelledTask, source: Examples, examples: list[object], model: LanguageModel, tmp_path: Path
) -> None:
    model.train()
    batch = task.batch(draw(source, list(range(len(source)))))
    optimizer = torch.optim.Adam(model.parameters(), lr=LABELLED[task.name].rate)
    first = 0.0
    for _ in range(MOST_STEPS):
        optimizer.zero_grad()
        loss = task.loss(model, batch)
        torch.autograd.backward(loss.sum / loss.count)
        optimizer.step()
        first = first or loss.sum.item()
        if loss.sum.item() < ENOUGH * first:
            break
    model.eval()
    answers = answers_of(task, model, examples)
    headline = task.measures()[0]
    value = headline.compute(task.judged(examples, answers))
    assert value == pytest.approx(LABELLED[task.name].perfect, abs=LABELLED[task.name].tolerance)
    json.dumps([task.told(answer) for answer in answers])
    assert all(next(iter(task.told(answer))) == "prediction" for answer in answers)

    kept = task.kept(model)
    task.save(tmp_path, model, family(LABELLED[task.name].family))
    again = load_task(tmp_path, task.tokenizer)
    assert isinstance(again, type(task))
    assert again.config == task.config
    assert [again.told(a) for a in answers_of(again, kept, examples)] == [task.told(a) for a in answers]
    backwards = answers_of(task, model, examples[::-1])[::-1]
    assert [task.told(a) for a in backwards] == [task.told(a) for a in answers]


@each_task
def test_a_head_that_is_missing_is_told(task: LabelledTask, model: LanguageModel, tmp_path: Path) -> None:
    task.save(tmp_path, model, family(LABELLED[task.name].family))
    head = tmp_path / "task_head.safetensors"
    if not head.exists():
        pytest.skip("the task has no head of its own")
    head.unlink()
    with pytest.raises(WeightsError, match=r"task_head\.safetensors: no such file"):
        load_task(tmp_path, task.tokenizer)


@each_task
def test_the_baseline_is_judged_as_the_model_is(task: LabelledTask, examples: list[object]) -> None:
    _, fit = BASELINES[task.name]
    predictor = fit(task, examples * 4)
    columns = task.judged(examples, predictor.answer(examples))
    assert np.isfinite(task.measures()[0].compute(columns))
