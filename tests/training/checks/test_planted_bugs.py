"""Bugs planted in real tasks, models, tokenizers and data, each of which a check must catch under its name."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from tests.tasks.labelled import CONTEXT, LABELLED, records_of, settled
from tests.tasks.tiny import CHINESE, ENGLISH, SIZES, NewTokenizer
from torch import Tensor

from wenlu.corpus.packing import Ids, PackedRow, Rows, Windows
from wenlu.corpus.shard_writer import write_tokens
from wenlu.corpus.shards import TokenData
from wenlu.models import LanguageModel, family
from wenlu.tasks import (
    IGNORED,
    Batch,
    CausalLM,
    Dialogue,
    Draw,
    LabelledTask,
    Loss,
    MaskedLM,
    Summarisation,
    Task,
    TextClassification,
    Translation,
    read_settings,
)
from wenlu.tokenizers import Tokenizer
from wenlu.training import AdamWConfig, freeze
from wenlu.training.checks import (
    Finding,
    Known,
    Subject,
    answer_findings,
    duplicates,
    label_balance,
    label_conflicts,
    leakage,
    of_batches,
    of_model,
    of_tokenizer,
    written_answers,
)
from wenlu.training.checks.start import loss_at_start

GOOD = AdamWConfig(lr=5e-3, weight_decay=0.0)
WIDTH = 16


@pytest.fixture(scope="module")
def tokenizer(new_tokenizer: NewTokenizer) -> Tokenizer:
    return new_tokenizer(special=["[MASK]"])


@pytest.fixture(scope="module")
def text(tokenizer: Tokenizer, tmp_path_factory: pytest.TempPathFactory) -> TokenData:
    return write_tokens(ENGLISH, tokenizer, tmp_path_factory.mktemp("text") / "tokens")


def failures(findings: Sequence[Finding]) -> set[str]:
    return {finding.name for finding in findings if finding.verdict == "failure"}


def body(name: str, task: Task, vocab_size: int, end_id: int | None, **own: Any) -> LanguageModel:
    torch.manual_seed(0)
    chosen = family(name)
    tokens = dict.fromkeys(("bos_token_id", "eos_token_id", "decoder_start_token_id"), end_id)
    wanted = {**SIZES, "num_hidden_layers": 1, **tokens, **task.config.model_settings, **own}
    known = chosen.config.model_fields
    sizes = {key: value for key, value in wanted.items() if key in known}
    return chosen.build(chosen.config(vocab_size=vocab_size, **sizes), zero_outputs=True)


def of_text(text: TokenData, task: CausalLM | None = None, rows: Rows | None = None) -> Subject:
    """A decoder that learns running text."""
    task = task or CausalLM()
    model = body("llama", task, text.vocab_size, text.eos_id)
    return Subject.of(task, model, rows or task.rows(text, WIDTH))


def labelled(kind: type[LabelledTask], new_tokenizer: NewTokenizer) -> tuple[LabelledTask, list[Any]]:
    """The task on its eight small examples; a subclass has the planted bug."""
    config = settled(kind.name)
    task = kind(config, new_tokenizer(special=config.special_tokens))
    return task, [kind.example_of(record, config) for record in records_of(config)]


def of_labels(kind: type[LabelledTask], new_tokenizer: NewTokenizer) -> tuple[Subject, list[Any]]:
    task, examples = labelled(kind, new_tokenizer)
    model = task.trained(body(LABELLED[kind.name].family, task, task.tokenizer.vocab_size, task.tokenizer.eos_id))
    return Subject.of(task, model, task.rows(examples, CONTEXT)), examples


def on_batches(subject: Subject, tokenizer: Tokenizer, places: Ids | None = None) -> set[str]:
    draw = Draw.at(subject.source, subject.places if places is None else places)
    return failures(of_batches(subject.task, tokenizer, [draw]))


def on_model(
    subject: Subject, optimizer: AdamWConfig = GOOD, examples: Sequence[Any] = (), steps: int = 45
) -> set[str]:
    found = of_model(subject, optimizer, clip_norm=1.0, seconds=20.0, most_steps=steps, examples=examples)
    return failures(found)


def on_answers(kind: type[Any], new_tokenizer: NewTokenizer, context: int = CONTEXT) -> set[str]:
    task, examples = labelled(kind, new_tokenizer)
    return failures(answer_findings(written_answers(task, examples, context)))  # type: ignore[arg-type]


def on_tokenizer(trained: Tokenizer, served: Tokenizer | None = None, **facts: Any) -> set[str]:
    known: dict[str, Any] = {"base": None, "needed": (), "vocab_size": trained.vocab_size, "pads": True, **facts}
    texts = known.pop("texts", ENGLISH[:4])
    return failures(of_tokenizer(CausalLM(), trained, served or trained, texts, **known))


class OffByOne(Dialogue):
    def batch(self, draw: Draw) -> Batch:
        batch = super().batch(draw)
        moved = torch.cat([batch.input_ids[:, 1:], batch.targets[:, -1:]], dim=1)
        is_asked = batch.targets.roll(-1, dims=1) != IGNORED
        is_asked[:, -1] = False
        return replace(batch, targets=torch.where(is_asked, moved, IGNORED))


def test_a_mask_that_is_off_by_one(new_tokenizer: NewTokenizer) -> None:
    assert "mask" in on_answers(OffByOne, new_tokenizer)


class NextDocument(CausalLM):
    def batch(self, draw: Draw) -> Batch:
        batch = super().batch(draw)
        targets = torch.from_numpy(draw.rows.ids)[:, 1:]
        return replace(batch, targets=targets.masked_fill((batch.targets == IGNORED).roll(1, dims=1), IGNORED))


def test_a_mask_of_documents_that_is_off_by_one(text: TokenData, tokenizer: Tokenizer) -> None:
    assert "mask" in on_batches(of_text(text, NextDocument()), tokenizer, np.arange(24))


class Endless(Windows):
    """Encoded by something that does not end documents."""

    def read(self, indices: Ids) -> PackedRow:
        row = super().read(indices)
        return PackedRow(np.where(row.ids == self.data.eos_id, 40, row.ids), row.segments)


def test_documents_without_their_end(text: TokenData, tokenizer: Tokenizer) -> None:
    assert "end-is-trained" in on_batches(of_text(text, rows=Endless(text, WIDTH)), tokenizer, np.arange(24))


class Unended(Summarisation):
    def _targets(self, examples: Any, context: int) -> Any:
        found, cut = super()._targets(examples, context)
        return [ids[:-1] for ids in found], cut


def test_answers_without_their_end(new_tokenizer: NewTokenizer) -> None:
    assert "end-is-trained" in on_answers(Unended, new_tokenizer)


class AllIgnored(Dialogue):
    def batch(self, draw: Draw) -> Batch:
        batch = super().batch(draw)
        return replace(batch, targets=torch.full_like(batch.targets, IGNORED))


def test_labels_that_are_all_ignored(new_tokenizer: NewTokenizer) -> None:
    subject, _ = of_labels(AllIgnored, new_tokenizer)
    assert "trained-tokens" in on_batches(subject, subject.task.tokenizer)  # type: ignore[attr-defined]


class PaddingAsked(Dialogue):
    def batch(self, draw: Draw) -> Batch:
        batch = super().batch(draw)
        behind = (batch.targets != IGNORED).flip(1).cumsum(1).flip(1) == 0
        return replace(batch, targets=batch.targets.masked_fill(behind, self.tokenizer.pad_id or 0))


def test_padding_in_the_labels(new_tokenizer: NewTokenizer) -> None:
    subject, _ = of_labels(PaddingAsked, new_tokenizer)
    assert "padding-targets" in on_batches(subject, subject.task.tokenizer)  # type: ignore[attr-defined]


class Unshifted(CausalLM):
    def batch(self, draw: Draw) -> Batch:
        batch = super().batch(draw)
        return replace(batch, targets=batch.input_ids)


def test_targets_that_are_not_shifted(text: TokenData, tokenizer: Tokenizer) -> None:
    assert "shifted-targets" in on_batches(of_text(text, Unshifted()), tokenizer)


class Unshifting(Translation):
    """Each place of the decoder reads the token that it is to write."""

    def states(self, model: LanguageModel, batch: Batch) -> Tensor:
        read = batch.targets.clamp(min=0)
        return model.hidden(batch.input_ids, decoder_input_ids=read, attention_mask=batch.attention_mask)


def test_a_decoder_that_reads_what_it_is_to_write(new_tokenizer: NewTokenizer) -> None:
    assert "no-future" in on_model(of_labels(Unshifting, new_tokenizer)[0], steps=5)


def test_masks_that_hide_nothing(text: TokenData, tokenizer: Tokenizer) -> None:
    config = read_settings({"name": "masked-lm", "mask_share": 0.1, "random_share": 0.0})
    task = MaskedLM(config, tokenizer)  # type: ignore[arg-type]
    draw = Draw.at(task.rows(text, CONTEXT), np.arange(12))
    assert "hidden-targets" in failures(of_batches(task, tokenizer, [draw]))


class MeanLoss(CausalLM):
    def loss(self, model: LanguageModel, batch: Batch) -> Loss:
        loss = super().loss(model, batch)
        return Loss(loss.sum / loss.count, 1)


def test_a_loss_that_is_a_mean_of_means(text: TokenData) -> None:
    assert "same-loss" in on_model(of_text(text, MeanLoss()), steps=5)


class PositionsCounted(Dialogue):
    def loss(self, model: LanguageModel, batch: Batch) -> Loss:
        loss = super().loss(model, batch)
        return replace(loss, count=batch.targets.numel())


def test_a_loss_that_counts_padding(new_tokenizer: NewTokenizer) -> None:
    assert "same-loss" in on_model(of_labels(PositionsCounted, new_tokenizer)[0], steps=5)


class Unmasked(TextClassification):
    def batch(self, draw: Draw) -> Batch:
        batch = super().batch(draw)
        return replace(batch, attention_mask=torch.ones_like(batch.input_ids))

    def vectors(self, model: LanguageModel, batch: Batch) -> Tensor:
        return super().vectors(model, replace(batch, attention_mask=torch.ones_like(batch.input_ids)))


def test_padding_that_is_pooled_and_looked_at(new_tokenizer: NewTokenizer) -> None:
    assert "padding-is-free" in on_model(of_labels(Unmasked, new_tokenizer)[0], steps=5)


class AcrossDocuments(CausalLM):
    def batch(self, draw: Draw) -> Batch:
        return replace(super().batch(draw), segments=None)


def test_attention_across_documents(text: TokenData) -> None:
    assert "packing-is-free" in on_model(of_text(text, AcrossDocuments()), steps=5)


def test_attention_to_the_future(text: TokenData) -> None:
    subject = of_text(text)
    layer = subject.model.layers[0]  # type: ignore[index, union-attr]
    layer.register_forward_hook(lambda _module, _given, out: out + out.mean(dim=1, keepdim=True))
    assert "no-future" in on_model(subject, steps=5)


def test_a_frozen_head(new_tokenizer: NewTokenizer) -> None:
    subject, _ = of_labels(TextClassification, new_tokenizer)
    freeze(subject.model, ["task_head"])
    assert "head" in on_model(subject, steps=5)


def test_a_layer_that_is_cut_off_from_the_loss(text: TokenData) -> None:
    subject = of_text(text)
    subject.model.embed_tokens.register_forward_hook(lambda _module, _given, out: out.detach())  # type: ignore[union-attr]
    assert "gradients" in on_model(subject, steps=5)


def test_a_part_that_nobody_calls_is_no_failure(new_tokenizer: NewTokenizer) -> None:
    subject, _ = of_labels(TextClassification, new_tokenizer)
    subject.model.body.pooler = torch.nn.Linear(4, 4)  # type: ignore[union-attr, assignment]
    found = of_model(subject, GOOD, clip_norm=1.0, seconds=1.0, most_steps=2)
    (gradients,) = [finding for finding in found if finding.name == "gradients"]
    assert gradients.verdict == "pass"
    assert gradients.found.endswith("2 others are not used, as body.pooler.weight")


def test_a_gradient_that_is_turned_round(text: TokenData) -> None:
    subject = of_text(text)

    def loss(model: LanguageModel, batch: Batch) -> Loss:
        for weight in model.parameters():
            if not weight._backward_hooks:
                weight.register_hook(lambda gradient: -gradient)
        return CausalLM.loss(CausalLM(), model, batch)

    subject.task.loss = loss  # type: ignore[method-assign]
    assert {"gradient-direction", "overfit-8", "learning-rate"} <= on_model(subject)


class NegativeLoss(CausalLM):
    def loss(self, model: LanguageModel, batch: Batch) -> Loss:
        loss = super().loss(model, batch)
        return replace(loss, sum=-loss.sum)


def test_a_loss_with_the_wrong_sign(text: TokenData) -> None:
    assert "loss-at-start" in on_model(of_text(text, NegativeLoss()), steps=5)


class SoftmaxTwice(TextClassification):
    def _nats(self, logits: Tensor, labels: Tensor, smoothing: float) -> Tensor:
        return F.cross_entropy(logits.softmax(dim=1), labels, label_smoothing=smoothing, reduction="sum")


def test_a_softmax_before_a_loss_of_logits(new_tokenizer: NewTokenizer) -> None:
    assert "overfit-8" in on_model(of_labels(SoftmaxTwice, new_tokenizer)[0])


class OtherOrder(TextClassification):
    """Targets are numbered from the other end than answers."""

    def _target(self, example: Any) -> Any:
        return len(self.config.labels) - 1 - super()._target(example)


def test_labels_in_another_order_than_the_heads(new_tokenizer: NewTokenizer) -> None:
    subject, examples = of_labels(OtherOrder, new_tokenizer)
    assert "answers" in on_model(subject, examples=examples)


def test_a_base_that_knows_less_than_a_guess(text: TokenData) -> None:
    subject = replace(of_text(text), is_new=False)
    assert failures(loss_at_start(subject, subject.batch())) == set()  # a guess itself is but warned of
    with torch.no_grad():
        subject.model.lm_head.weight.normal_(std=3.0)  # type: ignore[operator, union-attr]
    assert failures(loss_at_start(subject, subject.batch())) == {"loss-at-start"}


@pytest.mark.parametrize("rate", [30.0, 1e-12], ids=["exploded", "vanishing"])
def test_a_learning_rate_out_of_bounds(rate: float, text: TokenData) -> None:
    assert on_model(of_text(text), AdamWConfig(lr=rate)) == {"learning-rate"}


def test_weights_that_are_not_numbers(text: TokenData) -> None:
    subject = of_text(text)
    with torch.no_grad():
        subject.model.layers[0].mlp.up_proj.weight[3, 2] = float("nan")  # type: ignore[index, union-attr]
    assert on_model(subject) == {"weights"}


def test_a_missing_padding_token(tokenizer: Tokenizer) -> None:
    assert on_tokenizer(Tokenizer(tokenizer._inner, replace(tokenizer.roles, pad=None))) >= {"pad-token"}


def test_a_template_that_is_not_the_one_that_is_served(new_tokenizer: NewTokenizer) -> None:
    served = labelled(Dialogue, new_tokenizer)[0].tokenizer
    other = "{% for message in messages %}{{ message.role }}: {{ message.content }}\n{% endfor %}"
    trained = served.with_settings(replace(served.settings, template=other))
    assert on_tokenizer(trained, served) == {"chat-template"}
    assert on_tokenizer(trained, base=served) == {"chat-template"}


def test_role_tokens_that_are_cut_like_text(tokenizer: Tokenizer) -> None:
    template = "{% for message in messages %}<|im_start|>{{ message.content }}<|im_end|>{% endfor %}"
    assert on_tokenizer(tokenizer.with_settings(replace(tokenizer.settings, template=template))) == {"special-tokens"}


def test_another_tokenizer_than_the_one_that_is_served(tokenizer: Tokenizer, new_tokenizer: NewTokenizer) -> None:
    assert "tokenizer" in on_tokenizer(tokenizer, new_tokenizer(kind="char", vocab_size="auto"))


def test_a_vocabulary_that_does_not_know_5_percent_of_the_text(new_tokenizer: NewTokenizer) -> None:
    known = new_tokenizer(kind="char", vocab_size="auto")
    mixed = [ENGLISH[0] * 10 + CHINESE[0][: len(ENGLISH[0] * 10) * 6 // 100]]
    letters = [char for char in mixed[0] if not char.isspace()]
    assert sum(char > "\u2e80" for char in letters) / len(letters) > 0.05
    assert on_tokenizer(known, texts=mixed) == {"vocabulary"}


def test_answers_that_lose_their_end_in_short_rows(new_tokenizer: NewTokenizer) -> None:
    config = settled("summarisation").model_copy(update={"max_target_tokens": 3})
    task = Summarisation(config, new_tokenizer())  # type: ignore[arg-type]
    examples = [Summarisation.example_of(record, config) for record in records_of(config)]
    assert "truncation" in failures(answer_findings(written_answers(task, examples, CONTEXT)))


def test_rows_that_stand_in_training_and_in_the_test() -> None:
    train, test = [Known.of(text) for text in ENGLISH[:40]], [Known.of(text) for text in ENGLISH[38:]]
    assert failures([leakage(train, test, "test")]) == {"leakage"}
    near = [replace(known, cluster="7") for known in test[2:]]
    assert failures([leakage([replace(train[0], cluster="7")], near, "test")]) == {"leakage"}
    assert failures([leakage(train[:38], test, "test")]) == set()


def test_labels_that_are_nearly_all_the_same() -> None:
    assert failures([label_balance(["ham"] * 199 + ["spam"])]) == {"label-balance"}
    assert failures([label_balance(["ham"] * 80 + ["spam"] * 20)]) == set()


def test_training_records_that_mostly_repeat() -> None:
    assert failures([duplicates([Known.of(text, "cat") for text in ENGLISH[:4] * 3])]) == {"duplicates"}
    answered = [Known.of(text, str(number)) for number, text in enumerate(ENGLISH[:4] * 3)]
    assert failures([duplicates(answered)]) == set()  # several answers to a question are no repetition


def test_equal_texts_with_different_labels() -> None:
    records = [Known.of(text) for text in ENGLISH[:8] * 2]
    assert failures([label_conflicts(records, ["cat", "dog"] * 4 + ["dog", "cat"] * 4)]) == {"label-conflicts"}
