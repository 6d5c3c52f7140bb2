"""Questions stand before every window of their context, and answers are parts of the text that was given."""

from __future__ import annotations

import json
import math
from typing import Any

import numpy as np
import pytest
import torch
from tests.tasks.labelled import NewTokenizer, answers_in
from tests.tasks.tiny import CHINESE, ENGLISH, SIZES

from wenlu.corpus.record import Record
from wenlu.errors import DataError
from wenlu.evaluation.baselines.question_answering import fit
from wenlu.models import LanguageModel, family
from wenlu.tasks import QuestionAnswering, read_settings
from wenlu.tasks.question_answering import QuestionAnsweringConfig, SpanHead
from wenlu.tasks.spans.answers import best_spans
from wenlu.tasks.spans.examples import Question
from wenlu.tasks.spans.rows import QuestionRows
from wenlu.tasks.task import Draw

CONTEXT = 24
LONG = "then the red dog didn't move from the log. the partridge sat on the mat 4 times, unbelievably quiet. " * 2


def record(question: str, context: str, **meta: Any) -> Record:
    told = {"context": context, **{k: v if isinstance(v, str) else json.dumps(v) for k, v in meta.items()}}
    return Record(question, "a.json:7", told)


def asked(question: str, context: str, *texts: str, known: bool = True) -> Question:
    meta = {"answers": answers_in(context, *texts)} if known else {}
    return QuestionAnswering.example_of(record(question, context, **meta), QuestionAnsweringConfig())


def task_for(
    new_tokenizer: NewTokenizer, examples: list[Question], **own: Any
) -> tuple[QuestionAnswering, LanguageModel]:
    config = read_settings({"name": "question-answering", "head_dropout": 0.0, **own})
    assert isinstance(config, QuestionAnsweringConfig)
    task = QuestionAnswering(config.learnt(examples), new_tokenizer((*ENGLISH, *CHINESE), vocab_size=420))
    bert = family("bert")
    sizes = {key: value for key, value in SIZES.items() if key in bert.config.model_fields}
    body = bert.build(bert.config(vocab_size=task.tokenizer.vocab_size, **sizes), dtype=torch.float64)
    return task, task.trained(body).eval()


def told_scores(source: QuestionRows, row: int) -> tuple[np.ndarray[Any, Any], np.ndarray[Any, Any]]:
    """Scores of a model that is sure of the target."""
    assert source.labels is not None
    starts, ends = (np.zeros(int(source.inputs.sizes[row])) for _ in range(2))
    starts[source.labels[row, 0]] = ends[source.labels[row, 1]] = 9.0
    return starts, ends


def test_the_loss_is_the_cross_entropy_of_start_and_end_among_context_and_no_answer(
    new_tokenizer: NewTokenizer,
) -> None:
    examples = [asked("who sat?", "the cat sat", "the cat"), asked("who?", "the red dog didn't move", "dog")]
    task, model = task_for(new_tokenizer, examples)
    head = model.task_head
    assert isinstance(head, SpanHead)
    source = task.rows(examples, CONTEXT)
    batch = task.batch(Draw.at(source, np.arange(2)))
    with torch.no_grad():
        head.qa_outputs.weight.zero_()  # all places alike
        found = task.loss(model, batch)
    sizes = [len(source.window(row).spans) for row in range(2)]
    # The tokens of the context, the end behind it, and the first token.
    assert found.sum.item() == pytest.approx(sum(2 * math.log(size + 2) for size in sizes), rel=1e-9)
    assert found.count == 2
    assert [part.count for part in found.parts.values()] == [2, 2]


@pytest.mark.parametrize(
    ("length", "question", "context", "text"),
    [
        (24, "where?", "the cat sat on the mat.", "the mat"),
        (96, "哪里？", "我在学校图书馆看书。👩‍💻", "图书馆"),
        (64, "which emoji?", "the cat 👩‍💻 sat 🇩🇪 quiet", "👩‍💻"),
        (24, "how quiet?", LONG, "unbelievably quiet"),
    ],
)
def test_a_target_that_is_predicted_is_the_answer_in_the_original_text(
    new_tokenizer: NewTokenizer, length: int, question: str, context: str, text: str
) -> None:
    example = asked(question, context, text)
    task, _ = task_for(new_tokenizer, [example])
    source = task.rows([example], length)
    scores = [told_scores(source, row) for row in range(len(source))]
    found = best_spans(
        [one[0] for one in scores],
        [one[1] for one in scores],
        [source.window(row) for row in range(len(source))],
        context,
        null=False,
    )
    assert found.best[0].text == text
    assert ((found.best[0].start, found.best[0].end),) == example.answers
    assert context[found.best[0].start : found.best[0].end] == text


def test_windows_lose_no_word_and_know_their_characters(new_tokenizer: NewTokenizer) -> None:
    examples = [asked("who sat?", LONG, "the partridge"), asked("who?", "the cat sat", "the cat")]
    task, _ = task_for(new_tokenizer, examples)
    source = task.rows(examples, CONTEXT)
    (context,) = task.tokenizer.encode_spans([LONG])
    covered: set[int] = set()
    for row in np.flatnonzero(source.owners == 0).tolist():
        window = source.window(row)
        covered |= set(range(window.start, window.start + len(window.spans)))
        assert list(window.spans) == context.spans[window.start : window.start + len(window.spans)]
        ids = window.ids[window.offset : window.offset + len(window.spans)].tolist()
        assert ids == context.ids[window.start : window.start + len(window.spans)]
    assert covered == set(range(len(context.ids)))
    assert source.owners.tolist() == sorted(source.owners.tolist())


def test_a_long_question_leaves_half_of_a_row_to_the_context(new_tokenizer: NewTokenizer) -> None:
    example = asked("did the partridge " * 20, "the cat sat", "the cat")
    task, _ = task_for(new_tokenizer, [example])
    source = task.rows([example], CONTEXT)
    assert source.inputs.sizes.max() <= CONTEXT
    assert source.window(0).offset <= 2 + CONTEXT // 2


def test_what_a_question_is_batched_with_changes_nothing(new_tokenizer: NewTokenizer) -> None:
    examples = [asked("who sat?", LONG, "the partridge"), asked("who?", "the cat sat", "the cat"), asked("?", "a", "a")]
    task, model = task_for(new_tokenizer, examples)
    together = [task.told(answer) for answer in task.answer(model, examples, CONTEXT)]
    alone = [task.told(task.answer(model, [one], CONTEXT)[0]) for one in examples]
    assert [one["prediction"] for one in together] == [one["prediction"] for one in alone]
    for one, other in zip(together, alone, strict=True):
        assert one["probability"] == pytest.approx(other["probability"], abs=2e-6)
        assert len(one["alternatives"]) <= 3


def test_whether_there_may_be_no_answer_is_learnt_of_the_training_part() -> None:
    some, none = asked("who?", "the cat", "the cat"), asked("who?", "the cat")
    config = QuestionAnsweringConfig()
    assert config.learnt([some]).null is False
    assert config.learnt([some, none]).null is True
    assert config.learnt([some]).language == "en"
    assert config.learnt([asked("谁", "我们住在上海", "上海")]).language == "zh"
    with pytest.raises(DataError, match=r"no question of the training part has an answer; .* data\.answers=COLUMN"):
        config.learnt([none])


def test_the_threshold_for_no_answer_is_the_best_on_the_examples_it_is_given(new_tokenizer: NewTokenizer) -> None:
    examples = [
        asked("who?", "the cat sat", "the cat"),
        asked("where?", "the cat sat"),
        asked("4?", "the dog sat 4 times", "4"),
        asked("red?", "then it didn't move"),
    ]
    task, model = task_for(new_tokenizer, examples)
    settled = task.with_settings(**task.tuned(model, examples, CONTEXT))
    headline = task.measures()[0]
    best = headline.compute(settled.judged(examples, settled.answer(model, examples, CONTEXT)))
    for threshold in (-1e9, -1.0, -0.1, 0.0, 0.1, 1.0, 1e9):
        other = task.with_settings(null_threshold=threshold)
        found = headline.compute(other.judged(examples, other.answer(model, examples, CONTEXT)))
        assert found <= best + 1e-9
    assert task.with_settings(null=False).tuned(model, examples, CONTEXT) == {}


def test_no_answer_is_the_empty_text(new_tokenizer: NewTokenizer) -> None:
    examples = [asked("who?", "the cat sat", "the cat"), asked("where?", "the cat sat")]
    task, model = task_for(new_tokenizer, examples, null_threshold=-1e9)
    answers = task.answer(model, examples, CONTEXT)
    told = task.told(answers[0])
    assert told["prediction"] == ""
    assert (told["start"], told["end"]) == (None, None)
    assert told["probability"] == told["no_answer"]
    columns = task.judged(examples, answers)
    assert columns["exact_match"].tolist() == [0.0, 1.0]


def test_the_best_of_several_right_answers_counts(new_tokenizer: NewTokenizer) -> None:
    example = asked("who?", "the red dog sat", "the red dog sat", "red dog")
    task, _ = task_for(new_tokenizer, [example])
    (answer,) = fit(task, [asked("x?", "red dog", "red dog")]).answer([asked("sat?", "red dog sat", known=False)])
    assert answer.text == "red dog"
    assert task.judged([example], [answer])["answer_f1"].tolist() == [1.0]


def test_the_baseline_takes_words_beside_those_of_the_question(new_tokenizer: NewTokenizer) -> None:
    context = "the cat sat on the log. later, the dog slept on Mondays in Paris. then it didn't move."
    examples = [asked("where did the dog sleep?", context, "Paris"), asked("谁", "我们住在上海", "上海")]
    task, _ = task_for(new_tokenizer, examples)
    predictor = fit(task, examples)
    (answer,) = predictor.answer([asked("when has the dog slept on?", context, known=False)])
    assert answer.text == "Mondays"
    (answer,) = predictor.answer([asked("谁住在", "酒店很好。我们住在上海。", known=False)])
    assert answer.text in ("上", "们", "海")
    (answer,) = predictor.answer([asked("who?", "", known=False)])
    assert answer.text == ""


@pytest.mark.parametrize(
    ("meta", "message"),
    [
        ({"answers": "the cat"}, "a.json:7: 'answers' is 'the cat', not JSON"),
        ({"answers": ["the cat"]}, "a.json:7: answers .*give a list of objects with text and start"),
        ({"answers": [{"text": "cat", "start": "4"}]}, "a.json:7: an answer of text and start"),
        ({"answers": [{"text": "cat", "start": 0}]}, "a.json:7: answer 'cat' is not at character 0.*nearest is at 4"),
        ({"answers": [], "is_impossible": "perhaps"}, "a.json:7: is_impossible 'perhaps' is not true or false"),
        ({"answers": [{"text": "cat", "start": 4}], "is_impossible": "true"}, "a.json:7: is_impossible is true, yet"),
    ],
)
def test_what_is_wrong_with_a_record_is_told_with_its_id(meta: dict[str, Any], message: str) -> None:
    with pytest.raises(DataError, match=message):
        QuestionAnswering.example_of(record("who?", "the cat", **meta), QuestionAnsweringConfig())


def test_a_record_without_context_or_question_is_refused() -> None:
    with pytest.raises(DataError, match=r"a.json:7: no 'context', which context is read from"):
        QuestionAnswering.example_of(Record("who?", "a.json:7", {}), QuestionAnsweringConfig())
    with pytest.raises(DataError, match=r"a.json:7: an empty question"):
        QuestionAnswering.example_of(record(" ", "the cat"), QuestionAnsweringConfig())


def test_answers_in_two_lists_are_those_of_a_list_of_objects() -> None:
    config = QuestionAnsweringConfig()
    two = record("who?", "the cat", answers={"text": ["cat"], "answer_start": [4]})
    assert QuestionAnswering.example_of(two, config) == asked("who?", "the cat", "cat")


def test_questions_without_answers_among_others_are_told(new_tokenizer: NewTokenizer) -> None:
    examples = [asked("who?", "the cat", "cat"), asked("who?", "the dog", known=False)]
    task, _ = task_for(new_tokenizer, examples)
    with pytest.raises(DataError, match=r"a.json:7: no answers, while others have some; give \[\]"):
        task.rows(examples, CONTEXT)
    with pytest.raises(DataError, match=r"a.json:7: no answers to judge by"):
        task.judged(examples, [])
