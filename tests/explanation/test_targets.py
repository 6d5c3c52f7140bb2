"""Of each task the number that is explained is what the task itself says of the text."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from tests.tasks.labelled import LABELLED, NewTokenizer, records_of, settled
from tests.tasks.tiny import ENGLISH, SIZES

from wenlu.bundle import Bundle
from wenlu.corpus.record import Record
from wenlu.errors import UsageError
from wenlu.explanation.explain import Explainer, explain, explain_rows
from wenlu.explanation.explanation import Explanation
from wenlu.explanation.neural import NeuralSubject
from wenlu.explanation.settings import ExplainConfig
from wenlu.generation.rows import BadRow
from wenlu.models import family
from wenlu.tasks import CausalLM, LabelledTask, new_task
from wenlu.tokenizers import Tokenizer

CONTEXT = 48
FAST = ["randomisations=0", "orders=20"]
LONG = " ".join(ENGLISH[:6])


def body(name: str, tokenizer: Tokenizer, **own: Any) -> Any:
    torch.manual_seed(0)
    chosen = family(name)
    sizes = {key: value for key, value in {**SIZES, **own}.items() if key in chosen.config.model_fields}
    config = chosen.config(vocab_size=tokenizer.vocab_size, initializer_range=0.2, **sizes)
    return chosen.build(config, dtype=torch.float64).eval()


def bundle_of(task: LabelledTask) -> Bundle:
    model = task.trained(body(LABELLED[task.name].family, task.tokenizer, **task.config.model_settings))
    for weights in model.task_head.parameters():  # type: ignore[operator, union-attr]
        torch.nn.init.normal_(weights, std=0.5)
    return Bundle(model.eval(), task.tokenizer, task, model.config, Path("tiny"))


def made(name: str, new_tokenizer: NewTokenizer, **changes: Any) -> Explainer:
    special = ("[CLS]", "[SEP]", "[MASK]")
    config = settled(name).model_copy(update=changes)
    return Explainer(bundle_of(new_task(config, new_tokenizer(special=special))))  # type: ignore[arg-type]


def subject(explainer: Explainer, record: Record, **settings: Any) -> NeuralSubject:
    found = explainer.subject(record, ExplainConfig(context=CONTEXT, **settings))
    assert isinstance(found, NeuralSubject)
    return found


def whole(found: NeuralSubject) -> tuple[float, float]:
    asked = found.ask(np.ones((1, len(found.pieces)), np.bool_))
    return float(asked.values[0]), float(asked.chances[0])


@pytest.mark.parametrize("long", ["head", "tail", "head-tail", "windows"])
def test_a_label_has_the_probability_that_is_answered(long: str, new_tokenizer: NewTokenizer) -> None:
    explainer = made("text-classification", new_tokenizer, long=long)
    found = subject(explainer, Record(LONG, "long"))
    assert whole(found)[1] == pytest.approx(found.told.answer["probability"], abs=1e-6)
    assert len(found.rows) > 1 if long == "windows" else len(found.rows) == 1
    assert len(found.pieces) < len(found.parts[0].text)


def test_a_pair_is_read_as_one_row_of_two_texts(new_tokenizer: NewTokenizer) -> None:
    explainer = made("text-classification", new_tokenizer, columns={"second": "second"})
    found = subject(explainer, Record("the cat sat", "pair", {"second": "the dog didn't move"}))
    assert [part.name for part in found.parts] == ["text", "second"]
    assert {piece.part for piece in found.pieces} == {0, 1}
    assert whole(found)[1] == pytest.approx(found.told.answer["probability"], abs=1e-6)


@pytest.mark.parametrize("head", ["regression", "ordinal"])
def test_a_score_is_what_is_expected_before_it_is_cut_off(head: str, new_tokenizer: NewTokenizer) -> None:
    explainer = made("grading", new_tokenizer, head=head)
    found = subject(explainer, Record(ENGLISH[3], "text"))
    value, _ = whole(found)
    task: Any = explainer.model.task  # type: ignore[union-attr]
    (graded,) = task.answer(found.model, [task.example_of(Record(ENGLISH[3], "text"), task.config)], CONTEXT)
    if head == "regression":
        assert np.clip(value, 0, float(task.width[0])) + float(task.low[0]) == pytest.approx(
            graded.expected[0], abs=1e-6
        )
    else:  # the logit that the lowest threshold is compared with
        assert 1 / (1 + np.exp(-value)) == pytest.approx(1 - graded.probabilities[0][0], abs=1e-6)


def test_a_tag_is_asked_of_its_word(new_tokenizer: NewTokenizer) -> None:
    explainer = made("token-classification", new_tokenizer)
    record = records_of(explainer.model.task.config)[0]  # type: ignore[union-attr]
    found = subject(explainer, record)
    task: Any = explainer.model.task  # type: ignore[union-attr]
    example = task.bare([task.example_of(record, task.config)])
    (answer,) = task.answer(found.model, example, CONTEXT)
    word = found.told.target.rpartition(" of ")[2]
    source = task.rows(example, CONTEXT)
    with torch.no_grad():
        (scores,) = [rows.values for rows in task.outputs(found.model, _batch(task, source))]
    number = answer.words.texts.index(word)
    tag = task.names.index(answer.tags[number])
    assert whole(found)[0] == pytest.approx(scores[number, tag], abs=1e-6)


def test_an_answer_has_the_score_of_its_start_and_end(new_tokenizer: NewTokenizer) -> None:
    explainer = made("question-answering", new_tokenizer)
    task: Any = explainer.model.task  # type: ignore[union-attr]
    record = records_of(task.config)[0]
    found = subject(explainer, record)
    (answer,) = task.answer(found.model, task.bare([task.example_of(record, task.config)]), CONTEXT)
    assert whole(found)[0] == pytest.approx(answer.answers.best[0].score, abs=1e-5)
    assert [part.name for part in found.parts] == ["question", "context"]
    with pytest.raises(UsageError, match=r"target='elephant': does not stand in the context"):
        subject(explainer, record, target="elephant")


def causal(new_tokenizer: NewTokenizer) -> Explainer:
    tokenizer = new_tokenizer()
    model = body("gpt2", tokenizer)
    return Explainer(Bundle(model, tokenizer, CausalLM(), model.config, Path("tiny")))


def test_the_next_token_has_its_logit(new_tokenizer: NewTokenizer) -> None:
    explainer = causal(new_tokenizer)
    bundle: Any = explainer.model
    text = "the cat sat on"
    found = subject(explainer, Record(text, "text"))
    ids = torch.tensor([[*bundle.tokenizer.opening, *bundle.tokenizer.encode(text)]])
    logits = bundle.model(ids)[0, -1]
    assert whole(found) == pytest.approx((logits.max().item(), logits.softmax(0).max().item()), abs=1e-5)
    assert found.told.target == bundle.tokenizer.decode([int(logits.argmax())])


def test_of_a_long_text_to_continue_the_end_is_read(new_tokenizer: NewTokenizer) -> None:
    found = explain(causal(new_tokenizer), LONG, [*FAST, "context=12", "method=occlusion"])
    read = [each.attribution is not None for each in found.attributions]
    assert not read[0]
    assert read[-1]


def test_a_file_is_explained_row_by_row_and_bad_rows_say_why(new_tokenizer: NewTokenizer, tmp_path: Path) -> None:
    path = tmp_path / "texts.jsonl"
    path.write_text('{"review": "the cat sat on the mat"}\n{"other": "x"}\n{"review": "the dog"}\n', encoding="utf-8")
    explainer = made("text-classification", new_tokenizer)
    config = ExplainConfig.model_validate({"text": "review", "orders": 20, "randomisations": 0, "context": CONTEXT})
    rows = list(explain_rows(explainer, path, config))
    assert [type(row) for row in rows] == [Explanation, BadRow, Explanation]


@pytest.mark.parametrize("name", ["translation", "embedding", "summarisation"])
def test_tasks_that_are_not_explained_are_named(name: str, new_tokenizer: NewTokenizer) -> None:
    task = new_task(settled(name), new_tokenizer(special=("[CLS]", "[SEP]", "[MASK]")))
    model = body(LABELLED[name].family, task.tokenizer)  # type: ignore[attr-defined]
    with pytest.raises(UsageError, match=rf"is for {name}; explained are text classification"):
        explain(Explainer(Bundle(model, task.tokenizer, task, model.config, Path("tiny"))), "the cat")  # type: ignore[attr-defined]


def test_attention_of_every_layer_and_head_is_told_where_it_is_asked_for(new_tokenizer: NewTokenizer) -> None:
    found = explain(made("text-classification", new_tokenizer), "the cat sat", [*FAST, "attention=true"])
    assert found.attention is not None
    assert found.attention.weights.shape[:2] == (2, 2)
    assert len(found.attention.tokens) == found.attention.weights.shape[3]


def _batch(task: Any, source: Any) -> Any:
    from wenlu.tasks.task import Draw

    return task.batch(Draw.at(source, np.arange(len(source))))
