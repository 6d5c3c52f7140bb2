"""A model of a task is a class of transformers, there and back: no key missing, the same numbers, the same answers."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import pytest
import torch
import transformers
from tests.tasks.labelled import CONTEXT
from tests.tasks.tiny import NewTokenizer

import wenlu
from wenlu.corpus.record import Record
from wenlu.lifecycle.model_folder import write_model_folder
from wenlu.models import family
from wenlu.progress import Progress
from wenlu.tasks import (
    Batch,
    QuestionAnswering,
    ReadingTask,
    TokenClassification,
    new_task,
    read_settings,
)

SIZES: dict[str, Any] = {"hidden_size": 32, "intermediate_size": 48, "num_hidden_layers": 2, "num_attention_heads": 2}
SIZES |= {"max_position_embeddings": 64, "initializer_range": 0.2}
AUTOMATIC = {
    "text-classification": transformers.AutoModelForSequenceClassification,
    "grading": transformers.AutoModelForSequenceClassification,
    "token-classification": transformers.AutoModelForTokenClassification,
    "question-answering": transformers.AutoModelForQuestionAnswering,
}
SETTINGS: dict[str, dict[str, Any]] = {
    "text-classification": {"labels": ["good", "坏", "so-so"], "temperature": 1.5},
    "grading": {"scale": [1, 6], "traits": ["ideas", "form"]},
    "token-classification": {"labels": ["ANIMAL", "地点"]},
    "question-answering": {"null": True},
}
FAMILIES = ("bert", "distilbert", "roberta", "modernbert")
TEXTS = ["the cat sat on the mat 4 times.", "我在北京。", "did the dog sleep?"]


@pytest.fixture(autouse=True)
def _quiet() -> None:
    transformers.utils.logging.disable_progress_bar()
    transformers.utils.logging.set_verbosity_error()


class Noted(Progress):
    """Remembers what it was warned of."""

    def __init__(self) -> None:
        self.warnings: list[str] = []

    def warn(self, message: str) -> None:
        self.warnings.append(message)


def written(folder: Path, name: str, task: ReadingTask) -> Path:
    """A model with random weights as a run leaves it."""
    row = family(name)
    settings = {**SIZES, "vocab_size": task.tokenizer.vocab_size, **task.config.model_settings}
    settings |= {"local_attention": 8, "classifier_pooling": "mean"} if name == "modernbert" else {}
    model = task.trained(row.build(row.config(**settings)))
    with torch.no_grad():
        for weight in model.task_head.parameters():
            weight.normal_()
    folder.mkdir()
    write_model_folder(folder, task.kept(model), row, task.tokenizer, generation={}, card="")
    task.save(folder, model, row)
    return folder


def new(task: str, new_tokenizer: NewTokenizer, **settings: Any) -> ReadingTask:
    made = new_task(read_settings({"name": task, **SETTINGS[task], **settings}), new_tokenizer())
    assert isinstance(made, ReadingTask)
    return made


def answers(bundle: wenlu.Bundle) -> list[dict[str, Any]]:
    task = bundle.task
    assert isinstance(task, ReadingTask)
    context = {"context": "the cat sat on the mat. it was quiet."}
    examples = [type(task).example_of(Record(text, str(n), context), task.config) for n, text in enumerate(TEXTS)]
    return [task.told(answer) for answer in task.answer(bundle.model, examples, CONTEXT)]


@pytest.mark.parametrize("name", FAMILIES)
@pytest.mark.parametrize("task", AUTOMATIC)
def test_transformers_gives_the_numbers_of_the_head(
    name: str, task: str, new_tokenizer: NewTokenizer, tmp_path: Path
) -> None:
    for pooling in ("auto", "own"):
        made = new(task, new_tokenizer, pooling=pooling)
        if pooling == "auto" and (not made.config.is_of_tokens or name == "modernbert"):
            continue  # such a class reads through a hidden layer of its own
        source = written(tmp_path / f"{pooling} run", name, made)
        wenlu.export(source, tmp_path / pooling, ["format=hf", "parity.texts=2"])
        bundle = wenlu.load(source)
        assert isinstance(bundle.task, ReadingTask)
        for folder in (tmp_path / pooling, source) if pooling == "own" else (tmp_path / pooling,):
            reference, report = AUTOMATIC[task].from_pretrained(folder, output_loading_info=True)
            assert not any(report.values()), report
            ids, mask = torch.randint(5, made.tokenizer.vocab_size, (3, 21)), torch.ones(3, 21, dtype=torch.int64)
            mask[1, 12:] = 0
            with torch.no_grad():
                found = bundle.task.read(bundle.model, Batch(ids, ids, attention_mask=mask))
                told = reference(ids, attention_mask=mask)
            expected = told.logits if "logits" in told else torch.stack([told.start_logits, told.end_logits], dim=-1)
            seen = mask.bool() if found.dim() == 3 else torch.ones(3, dtype=torch.bool)
            assert float((found - expected)[seen].abs().max()) < 1e-4
        assert answers(wenlu.load(tmp_path / pooling)) == answers(bundle)
        if made.names:
            assert list(reference.config.id2label.values()) == list(made.names)
        assert reference.config.problem_type == made.problem_type


@pytest.mark.parametrize("task", ["text-classification", "token-classification", "question-answering"])
def test_a_class_of_transformers_alone_is_read_as_its_task(
    task: str, new_tokenizer: NewTokenizer, tmp_path: Path
) -> None:
    made = new(task, new_tokenizer, pooling="own", **({"temperature": 1.0} if task == "text-classification" else {}))
    source = written(tmp_path / "run", "bert", made)
    expected = answers(wenlu.load(source))
    source.joinpath("task.json").unlink()
    bundle = wenlu.load(source)
    assert type(bundle.task) is type(made)
    if isinstance(bundle.task, QuestionAnswering):
        bundle = wenlu.Bundle(
            bundle.model, bundle.tokenizer, bundle.task.with_settings(null=True), bundle.config, source
        )
    assert answers(bundle) == expected


def test_tags_of_a_class_stand_in_any_order_and_are_entities_where_they_can_be(
    new_tokenizer: NewTokenizer, tmp_path: Path
) -> None:
    tokenizer = new_tokenizer()
    for number, (labels, kind) in enumerate(
        [
            (("I-PER", "O", "B-PER", "B-LOC", "I-LOC"), "entities"),
            (("S-A", "O", "E-A", "I-A", "B-A"), "entities"),
            (("O", "I-PER", "I-LOC"), "tags"),
            (("NOUN", "VERB"), "tags"),
        ]
    ):
        config = transformers.BertConfig(
            vocab_size=tokenizer.vocab_size,
            id2label=dict(enumerate(labels)),
            label2id={label: place for place, label in enumerate(labels)},
            max_position_embeddings=64,
            **{key: SIZES[key] for key in ("hidden_size", "num_hidden_layers", "num_attention_heads")},
        )
        reference = transformers.BertForTokenClassification(config).eval()
        folder = tmp_path / str(number)
        reference.save_pretrained(folder)
        tokenizer.save(folder)
        bundle = wenlu.load(folder)
        assert isinstance(bundle.task, TokenClassification)
        assert bundle.task.config.kind == kind
        ids = torch.randint(5, tokenizer.vocab_size, (1, 9))
        with torch.no_grad():
            expected = reference(ids).logits[..., [labels.index(name) for name in bundle.task.names]]
            found = bundle.task.read(bundle.model, Batch(ids, ids, attention_mask=torch.ones_like(ids)))
        torch.testing.assert_close(found, expected, atol=1e-4, rtol=0)


@pytest.mark.parametrize(
    ("task", "family_name", "settings", "reason"),
    [
        ("text-classification", "bert", {}, r'BertForSequenceClassification reads .* task\.pooling="own"'),
        ("token-classification", "modernbert", {}, r'ModernBertForTokenClassification reads .* task\.pooling="own"'),
        ("token-classification", "bert", {"crf": True}, "none has a CRF"),
        ("grading", "bert", {"head": "ordinal"}, "none grades by thresholds"),
        ("text-classification", "llama", {}, "none of llama ends as this task does"),
    ],
)
def test_what_no_class_answers_like_is_exported_for_wenlu_and_says_why(
    task: str, family_name: str, settings: dict[str, Any], reason: str, new_tokenizer: NewTokenizer, tmp_path: Path
) -> None:
    source, noted = written(tmp_path / "run", family_name, new(task, new_tokenizer, **settings)), Noted()
    wenlu.export(source, tmp_path / "out", ["parity.texts=2"], progress=noted)
    assert answers(wenlu.load(tmp_path / "out")) == answers(wenlu.load(source))
    assert len(noted.warnings) == 1
    assert re.search(reason, noted.warnings[0])


def test_what_is_no_class_cannot_be_asked_to_be_one(new_tokenizer: NewTokenizer) -> None:
    with pytest.raises(ValueError, match=r'pooling: "own" is for models that are a class .* none has a CRF'):
        read_settings({"name": "token-classification", "pooling": "own", "crf": True})
    with pytest.raises(ValueError, match="none is for embedding"):
        read_settings({"name": "embedding", "pooling": "own"})
    assert not read_settings({"name": "grading", "pooling": "own"}).accepts(family("llama"))


def test_a_head_is_taken_over_where_it_reads_and_says_the_same(new_tokenizer: NewTokenizer, tmp_path: Path) -> None:
    base = wenlu.load(written(tmp_path / "run", "bert", new("text-classification", new_tokenizer, pooling="own")))
    assert base.task is not None
    row = family("bert")
    for settings, expected in (
        ({"pooling": "own"}, True),
        ({"pooling": "first"}, False),
        ({"pooling": "own", "labels": ["坏", "good", "so-so"]}, False),
        ({"pooling": "own", "several": True}, False),
    ):
        task = new("text-classification", new_tokenizer, **settings)
        config = row.config(vocab_size=300, **SIZES, **task.config.model_settings)
        model = task.trained(row.build(config))
        assert task.begin_with(base.task, base.model, model) is expected
        ours, theirs = model.task_head.state_dict(), base.model.state_dict()
        assert torch.equal(ours["classifier.weight"], theirs["classifier.weight"]) is expected
