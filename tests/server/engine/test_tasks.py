"""Models of labelled tasks answer as they do without a server, and those that embed, with the same vectors."""

from __future__ import annotations

from operator import attrgetter
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from tests.evaluation.linear.test_linear import EXAMPLES, classification, trained
from tests.tasks.labelled import LABELLED, NewTokenizer, records_of, settled
from tests.tasks.tiny import SIZES

import wenlu
from wenlu.bundle import Bundle
from wenlu.evaluation.linear import learners
from wenlu.evaluation.linear.prediction import Stored
from wenlu.generation.labelled import AnsweringConfig, answer_examples
from wenlu.generation.rows import Row
from wenlu.models import family
from wenlu.models.weights.layout import save_model
from wenlu.server.engine.answering import Answering, go_on, writes
from wenlu.server.engine.embedding import Embedder
from wenlu.server.engine.problem import Problem
from wenlu.server.engine.served import Served, served, served_linear
from wenlu.server.messages import Ability, Answer, Answers, Embed, Vectors
from wenlu.tasks import (
    LABELLED_TASKS,
    Dialogue,
    LabelledTask,
    MultiTask,
    MultiTaskConfig,
    PicturedTask,
    Preference,
    new_task,
)

ABILITIES: dict[str, Ability] = {
    "code": "translate",
    "embedding": "embed",
    "grading": "grade",
    "question-answering": "answer",
    "reward": "grade",
    "summarisation": "translate",
    "text-classification": "classify",
    "token-classification": "extract",
    "translation": "translate",
}
EXPLAINED = {"grading", "question-answering", "text-classification", "token-classification"}


def tiny(name: str, new_tokenizer: NewTokenizer) -> Bundle:
    config = settled(name)
    task = new_task(config, new_tokenizer(special=config.special_tokens))
    assert isinstance(task, LabelledTask)
    torch.manual_seed(0)
    chosen = family(LABELLED[name].family)
    known = chosen.config.model_fields
    tokens = dict.fromkeys(("bos_token_id", "eos_token_id", "decoder_start_token_id"), task.tokenizer.eos_id)
    sizes = {key: value for key, value in {**SIZES, **tokens, **config.model_settings}.items() if key in known}
    model = task.trained(chosen.build(chosen.config(vocab_size=task.tokenizer.vocab_size, **sizes)))
    return Bundle(model.eval(), task.tokenizer, task, model.config, Path(__file__))


def asked_of(bundle: Bundle) -> list[dict[str, Any]]:
    """The task's examples as a client gives them."""
    config = bundle.task.config  # type: ignore[union-attr]
    first, *others = [role.name for role in config.roles if not role.is_answer]
    return [
        {first: record.text}
        | {name: record.meta[config.column(name)] for name in others if config.column(name) in record.meta}
        for record in records_of(config)
    ]


@pytest.mark.parametrize("row", LABELLED_TASKS, ids=attrgetter("name"))
def test_every_task_has_an_ability_and_answers_as_it_does_alone(
    row: type[LabelledTask], new_tokenizer: NewTokenizer
) -> None:
    bundle = tiny(row.name, new_tokenizer)
    if issubclass(row, PicturedTask):
        return  # tests/server/engine/test_pictures.py
    if row in (Dialogue, Preference):  # they write, as any causal model does
        (one,) = served("m", bundle)
        assert "complete" in one.info.abilities
        return
    (one,) = served("m", bundle)
    ability = ABILITIES[row.name]
    assert one.info.abilities == (ability, *(("explain",) if row.name in EXPLAINED else ()))
    assert one.info.task == row.name
    if row.name == "embedding":
        return
    examples = asked_of(bundle)[:4]
    together = [
        Answering(Answer(id=number, model="m", ability=ability, examples=tuple(part)), one)
        for number, part in enumerate((examples[:1], examples[1:]))
    ]
    while any(each.reply is None for each in together):
        go_on(together, 3)
    columns = one.info.columns
    config = bundle.task.config  # type: ignore[union-attr]
    rows = [
        Row(str(n), each[columns[0]], {config.column(name): each[name] for name in columns[1:] if name in each})
        for n, each in enumerate(examples)
    ]
    expected = list(answer_examples(bundle, rows, AnsweringConfig()))
    found = [line for each in together for line in each.lines]
    assert writes(one) == (ability == "translate")
    for line, other in zip(found, expected, strict=True):
        if isinstance(line["prediction"], float):
            assert line["prediction"] == pytest.approx(other["prediction"], abs=1e-5)
        else:
            assert line["prediction"] == other["prediction"]
        assert {"id", "signature", *line} == set(other)


def test_each_of_several_tasks_has_a_name_of_its_own(new_tokenizer: NewTokenizer, tmp_path: Path) -> None:
    members = {name: new_task(settled(name), new_tokenizer()) for name in ("text-classification", "grading")}
    tokenizer = new_tokenizer()
    task = MultiTask(MultiTaskConfig(), tokenizer, members)  # type: ignore[arg-type]
    bert = family("bert")
    sizes = {key: value for key, value in SIZES.items() if key in bert.config.model_fields}
    model = task.trained(bert.build(bert.config(vocab_size=tokenizer.vocab_size, **sizes))).eval()
    save_model(tmp_path, model.body, bert)
    tokenizer.save(tmp_path)
    task.save(tmp_path, model, bert)
    found = list(served("both", wenlu.load(tmp_path)))  # type: ignore[arg-type]
    assert [(one.name, *one.info.abilities) for one in found] == [
        ("both/text-classification", "classify", "explain"),
        ("both/grading", "grade", "explain"),
    ]
    for one in found:
        ability = one.info.abilities[0]
        answering = Answering(Answer(id=1, model=one.name, ability=ability, examples=({"text": "a cat"},)), one)
        go_on([answering], 1)
        assert "prediction" in answering.lines[0]


def test_what_is_wrong_with_an_example_is_said_in_its_place(new_tokenizer: NewTokenizer) -> None:
    (one,) = served("m", tiny("question-answering", new_tokenizer))
    good = {"question": "what?", "context": "the cat sat"}
    examples = (good, {"question": "what?"}, {**good, "contexts": "x"}, {**good, "context": 3}, good)
    answering = Answering(Answer(id=1, model="m", ability="answer", examples=examples), one)
    while answering.reply is None:
        go_on([answering], 2)
    assert isinstance(answering.reply, Answers)
    lines = answering.reply.rows
    assert lines[0] == lines[4]
    assert lines[1]["error"] == "context: is missing; the task reads question, context"
    assert lines[2]["error"] == "contexts: the task reads no such column; did you mean context?"
    assert lines[3]["error"] == "context: 3 is no text"


def test_each_request_says_how_sure_it_wants_to_be(new_tokenizer: NewTokenizer) -> None:
    (one,) = served("m", tiny("text-classification", new_tokenizer))
    example = {"text": "the cat"}
    together = [
        Answering(Answer(id=1, model="m", ability="classify", examples=(example,), abstain_below=below), one)
        for below in (None, 1.0)
    ]
    go_on(together, 8)
    sure, unsure = (each.lines[0] for each in together)
    assert sure["prediction"] in one.info.labels
    assert (unsure["prediction"], unsure["abstained"]) == (None, sure["prediction"])


def test_a_model_that_cannot_says_what_it_can(new_tokenizer: NewTokenizer) -> None:
    (one,) = served("m", tiny("text-classification", new_tokenizer))
    with pytest.raises(Problem, match="m cannot extract; it can be asked to classify"):
        Answering(Answer(id=1, model="m", ability="extract", examples=({"text": "a"},)), one)
    with pytest.raises(Problem, match="m makes no vectors; it can be asked to classify"):
        Embedder(Embed(id=1, model="m", inputs=("a",)), one)


def test_a_linear_model_classifies(tmp_path: Path) -> None:
    model = trained(learners.CLASSIFIERS[0], classification(), EXAMPLES)
    one: Served = served_linear("spam", Stored(model, "0"), tmp_path)
    assert (one.info.abilities, one.info.labels) == (("classify", "explain"), ("ham", "spam"))
    texts = tuple({"text": example.text} for example in EXAMPLES)
    answering = Answering(Answer(id=1, model="spam", ability="classify", examples=texts), one)
    go_on([answering], 64)
    assert [line["prediction"] for line in answering.lines] == [example.labels[0] for example in EXAMPLES]  # type: ignore[index]


def test_vectors_are_those_of_the_task_whole_and_cut(new_tokenizer: NewTokenizer) -> None:
    bundle = tiny("embedding", new_tokenizer)
    (one,) = served("m", bundle)
    assert one.info.dimensions == 32
    texts = tuple(f"the cat sat {n} times" for n in range(5))
    ids = tuple(bundle.tokenizer.encode(texts[0]))
    for dimensions in (None, 8):
        embedder = Embedder(Embed(id=1, model="m", inputs=(*texts, ids), dimensions=dimensions), one)
        replies = [embedder.go_on(4), embedder.go_on(4)]
        assert replies[0] is None
        reply = replies[1]
        assert isinstance(reply, Vectors)
        found = np.frombuffer(reply.data, "<f4").reshape(6, reply.dimensions)
        expected = bundle.task.embed(bundle.model, list(texts), dimensions)  # type: ignore[union-attr]
        np.testing.assert_allclose(found[:5], expected, atol=1e-6)
        np.testing.assert_allclose(found[5], expected[0], atol=1e-6)
        np.testing.assert_allclose(np.linalg.norm(found, axis=1), 1, atol=1e-6)


@pytest.mark.parametrize(
    ("asked", "fault", "message"),
    [
        ({"inputs": ()}, "request", "no text"),
        ({"inputs": ("a",), "dimensions": 33}, "request", "33 dimensions of a vector that has 32"),
        ({"inputs": ((100_000,),)}, "request", "token 100000 is none of this model's"),
        ({"inputs": ("a", "cat " * 500)}, "context", "the text 1 has"),
    ],
)
def test_vectors_that_cannot_be_had_are_refused(
    new_tokenizer: NewTokenizer, asked: dict[str, Any], fault: str, message: str
) -> None:
    (one,) = served("m", tiny("embedding", new_tokenizer))
    with pytest.raises(Problem) as caught:
        Embedder(Embed(id=1, model="m", **asked), one)
    assert caught.value.fault == fault
    assert message in caught.value.message
