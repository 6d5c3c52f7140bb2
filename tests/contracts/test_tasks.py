"""What every task owes: a row, settings that are kept, batches that repeat, a loss that learns and can be summed."""

from __future__ import annotations

import json
from operator import attrgetter
from pathlib import Path

import numpy as np
import pytest
import torch
from tests.tasks.tiny import FAMILIES, NewData, NewTokenizer, settings, tiny_model

import wenlu.tasks
from wenlu.corpus.packing import Rows
from wenlu.errors import ConfigError, WeightsError
from wenlu.models import LanguageModel, family
from wenlu.tasks import (
    IGNORED,
    LABELLED_TASKS,
    MULTI_TASKS,
    SCORED_TASKS,
    TASKS,
    Batch,
    Draw,
    Objective,
    Task,
    load_task,
    new_task,
    read_settings,
)
from wenlu.tokenizers import Tokenizer
from wenlu.training.batches import Batches

CONTEXT, MOST_STEPS = 48, 500
each_task = pytest.mark.parametrize("row", TASKS, ids=attrgetter("name"))


@pytest.fixture
def tokenizer(row: type[Task], new_tokenizer: NewTokenizer) -> Tokenizer:
    return new_tokenizer(special=settings(row.name).special_tokens)


@pytest.fixture
def task(row: type[Task], tokenizer: Tokenizer) -> Task:
    return new_task(settings(row.name), tokenizer)


@pytest.fixture
def source(task: Task, tokenizer: Tokenizer, new_data: NewData) -> Rows:
    return task.rows(new_data(tokenizer), CONTEXT)


@pytest.fixture
def model(task: Task, tokenizer: Tokenizer) -> LanguageModel:
    return task.trained(tiny_model(task.config, tokenizer.vocab_size))


def draw(source: Rows, rows: list[int], numbers: list[int] | None = None, seed: int = 5) -> Draw:
    return Draw.at(source, np.array(rows), None if numbers is None else np.array(numbers), seed=seed)


def same(a: Batch, b: Batch) -> bool:
    """Whether two batches are equal bit for bit."""
    names = [name for name, value in vars(a).items() if value is not None]
    assert names == [name for name, value in vars(b).items() if value is not None]
    return all(
        torch.equal(value, getattr(b, name)) if isinstance(value := getattr(a, name), torch.Tensor) else True
        for name in names
    )


def test_the_tuple_lists_the_folder() -> None:
    folder = Path(wenlu.tasks.__file__).parent
    shared = {"__init__", "task", "objective"}
    files = {path.stem for path in folder.glob("*.py")} - shared
    assert {task.name.replace("-", "_") for task in (*TASKS, *LABELLED_TASKS, *MULTI_TASKS, *SCORED_TASKS)} == files


@each_task
def test_settings_bear_the_name_and_refuse_what_they_do_not_know(row: type[Task]) -> None:
    assert settings(row.name).name == row.name
    with pytest.raises(ValueError, match="namey: unknown key; did you mean name"):
        read_settings({"name": row.name, "namey": 1})


@each_task
def test_it_accepts_families_and_refuses_others(row: type[Task]) -> None:
    assert settings(row.name).accepts(family(FAMILIES[row.name]))
    assert not settings(row.name).accepts(family("bert" if FAMILIES[row.name] != "bert" else "gru"))


@each_task
def test_a_tokenizer_without_its_special_tokens_is_refused(row: type[Task], new_tokenizer: NewTokenizer) -> None:
    special = settings(row.name).special_tokens
    for missing in special:
        kept = [token for token in special if token != missing]
        with pytest.raises(ConfigError, match=f"no special token .*which {row.name} needs"):
            new_task(settings(row.name), new_tokenizer(special=kept))


@each_task
def test_batches_repeat_and_do_not_depend_on_what_else_is_drawn(task: Task, source: Rows) -> None:
    assert same(task.batch(draw(source, [0, 1, 2])), task.batch(draw(source, [0, 1, 2])))
    both = task.batch(draw(source, [4, 2], [10, 11]))
    one = task.batch(draw(source, [2], [11]))
    width = one.input_ids.size(1)
    assert torch.equal(both.input_ids[1, :width], one.input_ids[0])


@each_task
def test_a_step_reads_the_same_after_a_restart_and_in_other_micro_batches(task: Task, source: Rows) -> None:
    first, again = (list(Batches(source, 4, seed=3).micro(7, 4)) for _ in range(2))
    assert same(task.batch(first[0]), task.batch(again[0]))
    whole = task.batch(first[0]).input_ids
    single = [task.batch(piece).input_ids[0] for piece in Batches(source, 4, seed=3).micro(7, 1)]
    for row, ids in zip(whole, single, strict=True):
        assert torch.equal(row[: len(ids)], ids)


@each_task
def test_no_forward_pass_is_longer_than_the_context(task: Task, source: Rows) -> None:
    for start in range(0, len(source) - 4, 4):
        batch = task.batch(draw(source, list(range(start, start + 4))))
        assert batch.input_ids.size(1) <= CONTEXT
        assert batch.decoder_input_ids is None or batch.decoder_input_ids.size(1) <= CONTEXT


@each_task
def test_every_target_is_a_token_of_the_vocabulary(task: Task, source: Rows, tokenizer: Tokenizer) -> None:
    batch = task.batch(draw(source, list(range(8))))
    asked = batch.targets[batch.targets != IGNORED]
    assert len(asked)
    assert 0 <= int(asked.min()) <= int(asked.max()) < tokenizer.vocab_size
    assert 0 <= int(batch.input_ids.min()) <= int(batch.input_ids.max()) < tokenizer.vocab_size


@each_task
def test_the_loss_of_two_halves_is_that_of_the_whole(task: Task, source: Rows, model: LanguageModel) -> None:
    model.eval()
    with torch.no_grad():
        whole = task.loss(model, task.batch(draw(source, [0, 1, 2, 3])))
        halves = [task.loss(model, task.batch(draw(source, rows))) for rows in ([0, 1], [2, 3])]
    assert whole.count == sum(half.count for half in halves)
    assert whole.sum.item() == pytest.approx(sum(half.sum.item() for half in halves), rel=1e-9)


@each_task
def test_it_learns_eight_examples_by_heart(task: Task, source: Rows, model: LanguageModel) -> None:
    batch = task.batch(draw(source, [0, 9, 3, 14, 5, 11, 7, 20]))
    optimizer = torch.optim.Adam(model.parameters(), lr=5e-3)
    losses = []
    for _ in range(MOST_STEPS):
        optimizer.zero_grad()
        loss = task.loss(model, batch)
        torch.autograd.backward(loss.sum / loss.count)
        optimizer.step()
        losses.append(loss.sum.item() / loss.count)
        if losses[-1] < 0.01 * losses[0]:
            break
    assert losses[-1] < 0.05 * losses[0]
    if isinstance(task, Objective):
        for name, guesses in task.guesses(model, batch).items():
            assert (guesses.best == guesses.targets).double().mean() > 0.98, name


@each_task
def test_its_settings_are_kept_beside_the_model(
    task: Task, row: type[Task], model: LanguageModel, tokenizer: Tokenizer, tmp_path: Path
) -> None:
    task.save(tmp_path, model, family(FAMILIES[row.name]))
    found = load_task(tmp_path, tokenizer)
    assert type(found) is row
    assert found.config == task.config
    written = json.loads((tmp_path / "task.json").read_text())
    assert written["name"] == row.name
    (tmp_path / "task.json").write_text(json.dumps({**written, "namey": 1}))
    with pytest.raises(WeightsError, match=r"task\.json: namey: unknown key; did you mean name"):
        load_task(tmp_path, tokenizer)


def test_a_folder_that_does_not_say_has_no_task(tmp_path: Path, new_tokenizer: NewTokenizer) -> None:
    assert load_task(tmp_path, new_tokenizer()) is None
    (tmp_path / "task.json").write_text("[")
    with pytest.raises(WeightsError, match=r"task\.json: Expecting value"):
        load_task(tmp_path, new_tokenizer())


def test_an_unknown_task_suggests_the_nearest() -> None:
    with pytest.raises(ValueError, match="no task 'mask-lm'; did you mean masked-lm"):
        read_settings("mask-lm")
