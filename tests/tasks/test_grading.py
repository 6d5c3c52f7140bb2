"""Grades by hand: losses, thresholds, scales, traits, and records that are no examples."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import pytest
import torch
from sklearn.metrics import cohen_kappa_score
from tests.tasks.tiny import SIZES, NewTokenizer

from wenlu.corpus.record import Record
from wenlu.errors import DataError
from wenlu.models import family
from wenlu.tasks import Batch, Grading, read_settings
from wenlu.tasks.grades.graded import Graded
from wenlu.tasks.grades.settings import GradingConfig, ScoredText
from wenlu.tasks.labelled import Headed
from wenlu.tasks.task import Draw

TEXTS = ("the cat sat on the mat", "the dog sat on the log", "did the cat sleep?")
TRAITS = {"traits": ["ideas", "style"], "scale": [[0, 4], [1, 3]]}


def settings(**own: Any) -> GradingConfig:
    config = read_settings({"name": "grading", "head_dropout": 0.0, **own})
    assert isinstance(config, GradingConfig)
    return config


@pytest.fixture
def new_task(new_tokenizer: NewTokenizer) -> Any:
    return lambda **own: Grading(settings(**own), new_tokenizer())


def deaf(task: Grading, bias: list[float]) -> Headed:
    """A model whose head says the same, `bias`, of every text."""
    tiny = {key: value for key, value in SIZES.items() if key in family("bert").config.model_fields}
    config = family("bert").config(vocab_size=task.tokenizer.vocab_size, **tiny)
    model = task.trained(family("bert").build(config, dtype=torch.float64))
    assert isinstance(model, Headed)
    state = {name: torch.zeros_like(value) for name, value in model.task_head.state_dict().items()}
    name = next(name for name in state if name.endswith("bias"))
    model.task_head.load_state_dict({**state, name: torch.tensor(bias)})
    return model.eval()


def batch_of(task: Grading, *scores: Any) -> Batch:
    examples = [
        ScoredText(text, score if isinstance(score, tuple) else (score,))
        for text, score in zip(TEXTS, scores, strict=True)
    ]
    return task.batch(Draw.at(task.rows(examples, 32), np.arange(len(examples))))


def test_the_loss_of_a_regression_is_the_squared_error_of_shares_of_the_scale(new_task: Any) -> None:
    task = new_task(scale=[1, 6])
    loss = task.loss(deaf(task, [0.5]), batch_of(task, 1.0, 4.0, 6.0))
    assert loss.sum.item() == pytest.approx(0.5**2 + 0.1**2 + 0.5**2, rel=1e-12)
    assert loss.count == 3


def test_the_loss_of_several_traits_is_their_mean(new_task: Any) -> None:
    task = new_task(**TRAITS)
    loss = task.loss(deaf(task, [0.25, 1.0]), batch_of(task, (0.0, 1.0), (1.0, 2.0), (4.0, 3.0)))
    assert loss.sum.item() == pytest.approx((0.25**2 + 1.0) / 2 + 0.5**2 / 2 + 0.75**2 / 2, rel=1e-12)


def test_the_ordinal_loss_is_the_cross_entropy_of_its_thresholds(new_task: Any) -> None:
    task = new_task(scale=[1, 3], head="ordinal")
    loss = task.loss(deaf(task, [math.log(3), -math.log(3)]), batch_of(task, 1.0, 2.0, 3.0))  # above: 3/4, 1/4
    lowest, middle, highest = (1 / 4) * (3 / 4), (3 / 4) * (3 / 4), (3 / 4) * (1 / 4)
    assert loss.sum.item() == pytest.approx(-math.log(lowest * middle * highest), rel=1e-6)
    assert (loss.parts["grade"].right, loss.parts["grade"].count) == (1, 3)


def test_the_ordinal_loss_of_several_traits_is_their_mean(new_task: Any) -> None:
    task = new_task(traits=["ideas", "style"], scale=[[0, 1], [1, 3]], head="ordinal")
    bias = [0.0, math.log(3), -math.log(3)]
    loss = task.loss(deaf(task, bias), batch_of(task, (0.0, 2.0), (1.0, 2.0), (1.0, 1.0)))
    ideas = 3 * math.log(2)
    style = -math.log((9 / 16) * (9 / 16) * (3 / 16))
    assert loss.sum.item() == pytest.approx((ideas + style) / 2, rel=1e-6)


def test_an_ordinal_head_begins_with_every_grade_as_probable(new_task: Any) -> None:
    task = new_task(scale=[1, 5], head="ordinal")
    bias = task.head(8).bias.detach().tolist()
    (answer,) = task.answered([ScoredText("")], [[np.array(bias)]], None)
    assert answer.probabilities[0] == pytest.approx([0.2] * 5)
    assert answer.scores == (3.0,)
    assert answer.expected == pytest.approx((3.0,))


def test_an_answer_is_the_median_grade_even_where_thresholds_are_not_in_order(new_task: Any) -> None:
    task = new_task(scale=[1, 4], head="ordinal")
    logits = [[2.0, -1.0, 3.0], [5.0, 4.0, 3.0], [-1.0, 2.0, -3.0]]
    found = task.answered([ScoredText("")] * 3, [[np.array(row)] for row in logits], None)
    assert [answer.scores[0] for answer in found] == [2.0, 4.0, 1.0]
    for answer in found:
        (probabilities,) = answer.probabilities
        assert min(probabilities) >= 0
        assert sum(probabilities) == pytest.approx(1.0)
    told = task.told(found[1])
    assert told["probability"] == told["probabilities"]["4"] == pytest.approx(1 / (1 + math.exp(-3)), abs=1e-6)


def test_scores_are_clipped_before_they_are_rounded(new_task: Any) -> None:
    task = new_task(scale=[1, 6])
    found = task.graded(np.array([[-0.3], [1.7], [0.29], [0.31]])).each()
    assert [answer.scores[0] for answer in found] == [1.0, 6.0, 2.0, 3.0]
    assert [answer.expected[0] for answer in found] == pytest.approx([1.0, 6.0, 2.45, 2.55])
    assert task.told(found[2]) == {"prediction": 2, "expected": 2.45}
    assert isinstance(task.told(found[2])["prediction"], int)


@pytest.mark.parametrize(
    ("own", "scores"),
    [
        ({"scale": [1, 6]}, [(1.0,), (4.0,), (6.0,)]),
        ({"scale": [0, 3], "step": 0.5}, [(0.0,), (2.5,), (3.0,)]),
        ({"scale": [-4, 4], "step": 0}, [(-3.25,), (0.1,), (4.0,)]),
        (TRAITS, [(0.0, 1.0), (3.0, 2.0), (4.0, 3.0)]),
    ],
    ids=["whole", "half", "continuous", "traits"],
)
def test_scores_that_are_told_are_those_that_were_asked_for(new_task: Any, own: Any, scores: Any) -> None:
    task = new_task(**own)
    examples = [ScoredText("a", score) for score in scores]
    answers = task.graded(task.shares(examples)).each()
    for answer, score in zip(answers, scores, strict=True):
        assert answer.scores == pytest.approx(score)
    measure = task.measures()[0]
    assert measure.compute(task.judged(examples, answers)) == pytest.approx(1.0)


def test_kappa_is_of_the_whole_scale(new_task: Any) -> None:
    gold, found = [1, 2, 2, 4, 4], [1, 2, 4, 4, 2]
    for low, high, step in ((1, 6, 1), (0, 5, 0.5)):
        task = new_task(scale=[low, high], step=step)
        examples = [ScoredText("a", (float(score),)) for score in gold]
        answers = [Graded((float(score),), (float(score),)) for score in found]
        value = task.measures()[0].compute(task.judged(examples, answers))
        labels = list(range(low, high + 1))
        assert value == pytest.approx(cohen_kappa_score(gold, found, weights="quadratic", labels=labels))


def test_each_trait_has_its_measures_and_the_mean_comes_first(new_task: Any) -> None:
    task = new_task(**TRAITS)
    examples = [ScoredText("a", (float(i), float(1 + i % 3))) for i in range(5)]
    answers = [Graded((float(i), float(3 - i % 3)), (0.0, 0.0)) for i in range(5)]
    columns = task.judged(examples, answers)
    values = {metric.name: metric.compute(columns) for metric in task.measures()}
    assert next(iter(values)) == "quadratic_kappa.mean"
    assert values["quadratic_kappa.ideas"] == pytest.approx(1.0)
    assert values["quadratic_kappa.mean"] == pytest.approx((1.0 + values["quadratic_kappa.style"]) / 2)
    assert values["rmse.ideas"] == 0.0
    assert values["rmse.style"] == pytest.approx(math.sqrt(12 / 5))  # off by 2 in three of five
    assert task.told(answers[1])["prediction"] == {"ideas": 1, "style": 2}


def test_prompts_are_judged_each_by_itself(new_task: Any) -> None:
    task = new_task(scale=[1, 6], columns={"prompt": "essay_set"})
    examples = [ScoredText("a", (float(score),), prompt) for prompt in "AB" for score in (1, 2, 3)]
    answers = [Graded((float(score),), (0.0,)) for score in (1, 2, 3, 3, 2, 1)]
    metric = next(metric for metric in task.measures() if metric.name == "mean_quadratic_kappa")
    assert metric.compute(task.judged(examples, answers)) == pytest.approx(0.0, abs=1e-12)  # 1 and -1


def test_the_scale_is_that_of_the_training_part() -> None:
    config = settings().learnt([ScoredText("a", (float(score),)) for score in (2, 5, 3)])
    assert config.scales == ((2.0, 5.0),)
    assert config.grades == (4,)
    with pytest.raises(DataError, match=r"b:1: score 6 is outside the scale 2 to 5; give the whole one: task\.scale="):
        Grading.example_of(Record("a", "b:1", {"score": "6"}), config)


@pytest.mark.parametrize(
    ("own", "score", "message"),
    [
        ({}, "good", r"b:1: 'score' is 'good', not JSON"),
        ({}, "true", "b:1: score true is no number"),
        ({}, "NaN", "b:1: score NaN is no number"),
        ({}, "2.5", r"b:1: score 2\.5 is no grade in steps of 1 from 0; .* task\.step=0"),
        ({"scale": [1, 6]}, "7", "b:1: score 7 is outside the scale 1 to 6"),
        ({}, '{"ideas": 1}', r"b:1: score .* of several traits, but task\.traits names none; name each"),
        (TRAITS, "3", "b:1: one score, 3, but traits ideas, style"),
        (TRAITS, '{"ideas": 1}', "b:1: no score of 'style', only of 'ideas'"),
        (TRAITS, '[1, "x"]', 'b:1: score "x" is no number'),
    ],
)
def test_records_that_are_no_examples_say_why(own: Any, score: str, message: str) -> None:
    with pytest.raises(DataError, match=message):
        Grading.example_of(Record("a", "b:1", {"score": score}), settings(**own))


def test_traits_are_read_by_name_or_in_order() -> None:
    for score in ('{"style": 2, "ideas": 4}', "[4, 2]"):
        assert Grading.example_of(Record("a", "b:1", {"score": score}), settings(**TRAITS)).scores == (4.0, 2.0)


@pytest.mark.parametrize(
    ("own", "message"),
    [
        ({"head": "ordinal", "step": 0}, "step = 0 says that scores are continuous"),
        ({"scale": [6, 1]}, "scale: from 6 to 1 is none"),
        ({"scale": [1, 2.5]}, r"scale: from 1 steps of 1 do not end at 2\.5"),
        ({"scale": [[1, 6], [1, 6]]}, "scale: 2 pairs for 1 scores"),
        ({"traits": ["a", "a"]}, "traits: one stands twice in a, a"),
    ],
)
def test_settings_that_do_not_fit_say_why(own: Any, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        settings(**own)


def test_what_cannot_be_learnt_is_refused() -> None:
    with pytest.raises(DataError, match="have the score 3; there is nothing to learn"):
        settings().learnt([ScoredText("a", (3.0,))] * 2)
    with pytest.raises(DataError, match="b:1: no 'score', which score is read from"):
        settings().learnt([ScoredText("a", id="b:1")])
    with pytest.raises(DataError, match="1,001 grades are too many for an ordinal head"):
        settings(head="ordinal").learnt([ScoredText("a", (float(score),)) for score in (0, 1000)])
