"""Labels of whole texts: hand-computed losses, several labels, long texts, and what is refused."""

from __future__ import annotations

import math
from dataclasses import replace
from typing import Any

import numpy as np
import pytest
import torch
from tests.tasks.labelled import NewTokenizer
from torch import Tensor, nn

from wenlu.corpus.record import Record
from wenlu.errors import DataError, UsageError
from wenlu.models import LanguageModel
from wenlu.tasks.labelled import Headed
from wenlu.tasks.labelled.headed import pooled
from wenlu.tasks.labelled.mixup import Mixture
from wenlu.tasks.task import Batch
from wenlu.tasks.text_classification import LabelledText, TextClassification, TextClassificationConfig


class Vectors(LanguageModel):
    """A body whose hidden states are what it is given."""

    def __init__(self, hidden: Tensor) -> None:
        super().__init__()
        self.states = nn.Parameter(hidden)
        self.config = None  # type: ignore[assignment]
        self.lm_head = nn.Identity()

    def hidden(self, *_: Any, **__: Any) -> Tensor:
        return self.states


def task_of(new_tokenizer: NewTokenizer, **settings: Any) -> TextClassification:
    config = TextClassificationConfig(labels=("no", "yes"), pooling="mean", **settings)
    return TextClassification(config, new_tokenizer())


def model_of(logits: list[list[float]]) -> Headed:
    """Says these logits, (B, L), whatever it reads."""
    headed = Headed(Vectors(torch.tensor(logits, dtype=torch.float64)[:, None]), nn.Identity())
    return headed.eval()


def batch_of(labels: Tensor) -> Batch:
    ones = torch.ones(len(labels), 1, dtype=torch.long)
    return Batch(input_ids=ones, targets=torch.empty(0), attention_mask=ones, labels=labels)


LOGITS = [[0.0, math.log(3)], [math.log(4), 0.0]]  # 1/4 and 3/4; 4/5 and 1/5


def test_the_loss_is_the_summed_cross_entropy_in_nats(new_tokenizer: NewTokenizer) -> None:
    loss = task_of(new_tokenizer).loss(model_of(LOGITS), batch_of(torch.tensor([1, 1])))
    assert loss.sum.item() == pytest.approx(-math.log(3 / 4) - math.log(1 / 5))
    assert loss.count == 2
    assert loss.parts["label"].right == 1


def test_label_smoothing_gives_all_labels_a_share_alike(new_tokenizer: NewTokenizer) -> None:
    task, batch = task_of(new_tokenizer, label_smoothing=0.2, head_dropout=0.0), batch_of(torch.tensor([1]))
    loss = task.loss(model_of(LOGITS[:1]).train(), batch)
    assert loss.sum.item() == pytest.approx(-0.9 * math.log(3 / 4) - 0.1 * math.log(1 / 4))
    assert task.loss(model_of(LOGITS[:1]), batch).sum.item() == pytest.approx(-math.log(3 / 4))  # is measured plainly


def test_rare_labels_weigh_more_where_they_are_balanced(new_tokenizer: NewTokenizer) -> None:
    examples = [LabelledText("a", labels=(label,)) for label in ("no", "no", "no", "yes")]
    config = TextClassificationConfig(class_weights="balanced").learnt(examples)
    assert config.class_weights == pytest.approx((4 / 6, 4 / 2), abs=1e-6)
    loss = TextClassification(config.model_copy(update={"pooling": "mean"}), new_tokenizer()).loss(
        model_of(LOGITS[:1]), batch_of(torch.tensor([1]))
    )
    assert loss.sum.item() == pytest.approx(-2 * math.log(3 / 4))


def test_of_several_labels_each_holds_or_not(new_tokenizer: NewTokenizer) -> None:
    task = task_of(new_tokenizer, several=True)
    loss = task.loss(model_of(LOGITS[:1]), batch_of(torch.tensor([[0.0, 1.0]])))
    assert loss.sum.item() == pytest.approx((math.log(2) - math.log(3 / 4)) / 2)
    told = task.told(task.decided(np.array([[-1.0, 2.0]]))[0])
    assert told["prediction"] == ["yes"]
    assert told["probabilities"]["no"] == pytest.approx(1 / (1 + math.e), abs=1e-6)


def test_a_temperature_changes_how_sure_an_answer_is_and_not_which(new_tokenizer: NewTokenizer) -> None:
    logits = np.array(LOGITS)
    plain, cooler = task_of(new_tokenizer).decided(logits), task_of(new_tokenizer, temperature=2.0).decided(logits)
    assert [answer.chosen for answer in plain] == [answer.chosen for answer in cooler]
    assert plain[0].probabilities[1] == pytest.approx(3 / 4)
    assert cooler[0].probabilities[1] == pytest.approx(3**0.5 / (1 + 3**0.5))


@pytest.mark.parametrize("settings", [{"r_drop": 1.0}, {"mixup": 0.4}, {"r_drop": 0.5, "several": True}])
def test_regularisers_apply_in_training_alone_and_keep_the_gradient_finite(
    new_tokenizer: NewTokenizer, settings: dict[str, Any]
) -> None:
    task, labels = task_of(new_tokenizer, **settings), torch.tensor([1, 0])
    if settings.get("several"):
        labels = torch.eye(2)
    model = model_of(LOGITS)
    quiet = task.loss(model, batch_of(labels)).sum
    plain = task_of(new_tokenizer, several=settings.get("several", False)).loss(model, batch_of(labels)).sum
    assert quiet.item() == pytest.approx(plain.item())
    headed = Headed(model.body, nn.Dropout(0.5)).train()
    torch.manual_seed(0)
    loss = task.loss(headed, batch_of(labels)).sum
    torch.autograd.backward(loss)
    assert loss.item() != pytest.approx(plain.item())
    assert headed.body.get_parameter("states").grad.isfinite().all()


@pytest.mark.parametrize(("pooling", "expected"), [("mean", 2.0), ("first", 1.0), ("last", 3.0)])
def test_padding_is_in_no_pooled_vector(pooling: str, expected: float) -> None:
    hidden = torch.tensor([[[1.0], [3.0], [99.0]]])
    mask = torch.tensor([[1, 1, 0]])
    assert pooled(hidden, mask, pooling).item() == expected  # type: ignore[arg-type]


def test_a_long_text_is_answered_by_all_its_windows(new_tokenizer: NewTokenizer) -> None:
    task = task_of(new_tokenizer, long="windows")
    source = task.rows([LabelledText("the cat sat " * 30, labels=("yes",)), LabelledText("a", labels=("no",))], 16)
    assert source.owners.tolist() == [0] * (len(source) - 1) + [1]
    assert len(source) > 3
    assert source.labels is not None
    assert source.labels.tolist() == [1] * (len(source) - 1) + [0]


RECORD = Record("a text", "a.jsonl:7", {"label": "spam"})


def test_labels_are_read_from_lists_and_from_names_in_a_row() -> None:
    several = TextClassificationConfig(several=True)
    for value, labels in [('["a", "b", "a"]', ("a", "b")), ("b; a", ("b", "a")), ("[]", ()), ("", ())]:
        record = replace(RECORD, meta={"label": value})
        assert TextClassification.example_of(record, several).labels == labels
    assert TextClassification.example_of(RECORD, TextClassificationConfig()).labels == ("spam",)


def test_what_is_no_label_is_told_with_its_record(new_tokenizer: NewTokenizer) -> None:
    with pytest.raises(DataError, match=r"a\.jsonl:7: an empty label"):
        TextClassification.example_of(replace(RECORD, meta={"label": " "}), TextClassificationConfig())
    with pytest.raises(DataError, match=r"a\.jsonl:7: labels '\[1\]'; give a list of strings"):
        TextClassification.example_of(replace(RECORD, meta={"label": "[1]"}), TextClassificationConfig(several=True))
    with pytest.raises(DataError, match=r"a\.jsonl:7: labels '\[\"a\"'; give a list of strings"):
        TextClassification.example_of(replace(RECORD, meta={"label": '["a"'}), TextClassificationConfig(several=True))
    with pytest.raises(DataError, match="label 'spam' is not one of those of the training part: no, yes"):
        task_of(new_tokenizer).rows([TextClassification.example_of(RECORD, TextClassificationConfig())], 16)
    with pytest.raises(DataError, match="has only the label 'spam'; give two"):
        TextClassificationConfig().learnt([TextClassification.example_of(RECORD, TextClassificationConfig())])
    many = [LabelledText("a", labels=(str(number),)) for number in range(10_001)]
    with pytest.raises(DataError, match=r"10,001 labels in the training part.*is that column the label"):
        TextClassificationConfig().learnt(many)


class Embedded(LanguageModel):
    """A body whose hidden states are the embeddings of the tokens that it reads."""

    def __init__(self, embeddings: Tensor) -> None:
        super().__init__()
        self.embed_tokens = nn.Embedding.from_pretrained(embeddings)
        self.config = None  # type: ignore[assignment]
        self.lm_head = nn.Identity()

    def hidden(self, input_ids: Tensor | None, **_: Any) -> Tensor:  # type: ignore[override]
        found: Tensor = self.embed_tokens(input_ids)
        return found


def test_texts_are_mixed_in_the_embedding_of_each_token(
    new_tokenizer: NewTokenizer, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Of two texts of one and two tokens, three quarters of each with a quarter of the other."""
    monkeypatch.setattr(Mixture, "drawn", classmethod(lambda cls, *_: cls(0.75, torch.tensor([1, 0]))))
    task = task_of(new_tokenizer, mixup=1.0, mixup_in="embedding")
    model = Headed(Embedded(torch.tensor([[9.0, 9.0], [4.0, 0.0], [0.0, 8.0]])), nn.Identity()).train()
    batch = Batch(
        input_ids=torch.tensor([[1, 0], [1, 2]]),
        targets=torch.empty(0),
        attention_mask=torch.tensor([[1, 0], [1, 1]]),
        labels=torch.tensor([0, 1]),
    )
    # Means over two places: (4, 0) and a quarter of (0, 8) are (2, 1); (4, 0) and three quarters of (0, 8) are (2, 3).
    logits = torch.tensor([[2.0, 1.0], [2.0, 3.0]])
    nats = -torch.log_softmax(logits, dim=1)
    expected = 0.75 * (nats[0, 0] + nats[1, 1]) + 0.25 * (nats[0, 1] + nats[1, 0])
    assert task.loss(model, batch).sum.item() == pytest.approx(expected.item())
    assert torch.equal(
        model.body.hidden(torch.tensor([[1]])), torch.tensor([[[4.0, 0.0]]])
    )  # nothing is mixed behind it


def test_a_body_without_an_embedding_of_tokens_cannot_be_mixed_in_it(new_tokenizer: NewTokenizer) -> None:
    task = task_of(new_tokenizer, mixup=1.0, mixup_in="embedding")
    with pytest.raises(
        UsageError, match=r'task\.mixup_in="embedding": Vectors has no embedding of tokens; use "vector"'
    ):
        task.loss(model_of(LOGITS).train(), batch_of(torch.tensor([1, 0])))
