"""Tasks that write: what is asked in training is asked later, the end is learnt, and the loss is that of the target."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import pytest
import torch
from tests.tasks.tiny import CHINESE, ENGLISH, SIZES, NewTokenizer

from wenlu.corpus.record import Record
from wenlu.errors import ConfigError, DataError
from wenlu.generation.forward import before_answer
from wenlu.models import LanguageModel, family
from wenlu.tasks import IGNORED, Draw, Translation, WritingTask, new_task, read_settings
from wenlu.tasks.labelled.token_loss import summed_nats
from wenlu.tasks.labelled.writing import TextPair, start_id
from wenlu.tokenizers import Tokenizer
from wenlu.tokenizers.files import Settings

CONTEXT = 40
WAYS = ("lstm_encoder_decoder", "transformer", "t5", "bart", "marian", "llama", "lstm")
ways = pytest.mark.parametrize("name", WAYS)
both_ways = pytest.mark.parametrize("name", ["lstm_encoder_decoder", "llama"])
PAIRS = [
    TextPair("the cat sat on the mat 4 times.", "quiet cat", "a:1"),
    TextPair("did it sleep?", "the dog didn't move", "a:2"),
    TextPair("酒店很干净", "the mat", "a:3"),
]


@pytest.fixture
def tokenizer(new_tokenizer: NewTokenizer) -> Tokenizer:
    return new_tokenizer()


def task_for(name: str, tokenizer: Tokenizer, context: int = CONTEXT, **settings: Any) -> WritingTask:
    config = read_settings({"name": "translation", "target_language": "en", **settings})
    task = new_task(config.made_for(family(name), context), tokenizer)  # type: ignore[attr-defined]
    assert isinstance(task, Translation)
    return task


def tiny(name: str, tokenizer: Tokenizer, **changes: Any) -> LanguageModel:
    torch.manual_seed(0)
    chosen = family(name)
    tokens = {"bos_token_id": 0, "eos_token_id": 0, "decoder_start_token_id": 0}
    sizes = {**SIZES, **tokens, "initializer_range": 0.3, **changes}
    known = {key: value for key, value in sizes.items() if key in chosen.config.model_fields}
    return chosen.build(chosen.config(vocab_size=tokenizer.vocab_size, **known), dtype=torch.float64).eval()


def by_hand(model: LanguageModel, task: WritingTask, pair: TextPair) -> tuple[float, int]:
    """Nats of one target, a row by itself, from the softmax over all logits."""
    (prompt,) = task.prompts([pair], CONTEXT)
    assert pair.target is not None
    target = [*task.tokenizer.encode(pair.target), task.tokenizer.eos_id]
    with torch.no_grad():
        if task.has_encoder:
            logits = model(torch.tensor([prompt]), decoder_input_ids=torch.tensor([[start_id(model), *target[:-1]]]))
        else:
            logits = model(torch.tensor([[*prompt, *target[:-1]]]))[:, len(prompt) - 1 :]
    logp = logits[0].log_softmax(-1)
    return -sum(float(logp[place, token]) for place, token in enumerate(target)), len(target)


@ways
def test_the_loss_is_the_nats_of_the_targets_alone(name: str, tokenizer: Tokenizer) -> None:
    task, model = task_for(name, tokenizer), tiny(name, tokenizer)
    loss = task.loss(model, task.batch(Draw.at(task.rows(PAIRS, CONTEXT), np.arange(3))))
    nats, counts = zip(*(by_hand(model, task, pair) for pair in PAIRS), strict=True)
    assert loss.count == sum(counts)
    assert loss.sum.item() == pytest.approx(sum(nats), rel=1e-9)


@ways
def test_what_is_measured_is_what_each_target_costs_and_its_bytes(name: str, tokenizer: Tokenizer) -> None:
    task, model = task_for(name, tokenizer), tiny(name, tokenizer)
    found = task.likelihoods(model, PAIRS, CONTEXT)
    hand = [by_hand(model, task, pair) for pair in PAIRS]
    assert [each.likelihood.nll_nats for each in found] == pytest.approx([nats for nats, _ in hand], rel=1e-9)
    assert [each.likelihood.tokens for each in found] == [count for _, count in hand]
    assert [each.size for each in found] == [len((pair.target or "").encode()) for pair in PAIRS]


@both_ways
def test_of_a_target_that_is_cut_what_is_learnt_is_measured(name: str, tokenizer: Tokenizer) -> None:
    task, model = task_for(name, tokenizer, max_target_tokens=4), tiny(name, tokenizer)
    found = task.likelihoods(model, PAIRS, CONTEXT)
    ids = [tokenizer.encode(pair.target or "") for pair in PAIRS]
    assert [each.likelihood.tokens for each in found] == [min(4, len(each) + 1) for each in ids]
    assert [each.size for each in found] == [len(tokenizer.decode(each[:4]).encode()) for each in ids]
    assert [each.targets for each in found] == [((*each, 0)[:4],) for each in ids]
    with pytest.raises(DataError, match="b: no target to compare with"):
        task.likelihoods(model, [TextPair("a", None, "b")], CONTEXT)


@both_ways
def test_a_uniform_guess_costs_the_logarithm_of_the_vocabulary(name: str, tokenizer: Tokenizer) -> None:
    task, model = task_for(name, tokenizer), tiny(name, tokenizer, tie_word_embeddings=False)
    torch.nn.init.zeros_(model.get_parameter("lm_head.weight"))
    loss = task.loss(model, task.batch(Draw.at(task.rows(PAIRS, CONTEXT), np.arange(3))))
    assert loss.sum.item() / loss.count == pytest.approx(math.log(tokenizer.vocab_size))


@ways
def test_what_is_asked_later_is_what_stood_before_the_first_target(name: str, tokenizer: Tokenizer) -> None:
    task, model = task_for(name, tokenizer, prefix="to English: "), tiny(name, tokenizer)
    pairs = [*PAIRS, TextPair(" ".join(ENGLISH[:2]), "a long one")]
    batch = task.batch(Draw.at(task.rows(pairs, CONTEXT), np.arange(4)))
    asked = task.prompts([TextPair(pair.source) for pair in pairs], CONTEXT)
    for row, prompt in enumerate(asked):
        if task.has_encoder:
            assert batch.attention_mask is not None
            assert batch.input_ids[row][batch.attention_mask[row].bool()].tolist() == prompt
            assert before_answer(model, prompt) == [start_id(model)]
        else:
            first = int((batch.targets[row] != IGNORED).nonzero()[0])
            assert batch.input_ids[row, : first + 1].tolist() == prompt


def test_a_decoder_learns_the_completion_and_its_end_and_nothing_before(tokenizer: Tokenizer) -> None:
    task = task_for("llama", tokenizer, template="Q: {source} A:")
    batch = task.batch(Draw.at(task.rows(PAIRS[1:2], CONTEXT), np.arange(1)))
    prompt = [0, *tokenizer.encode("Q: "), *tokenizer.encode("did it sleep?"), *tokenizer.encode(" A:")]
    target = tokenizer.encode("the dog didn't move")
    assert batch.input_ids[0].tolist() == [*prompt, *target]
    assert batch.targets[0].tolist() == [IGNORED] * (len(prompt) - 1) + [*target, 0]


CHAT = (
    "{% for m in messages %}<|user|>{{ m.role }}\n{{ m.content | trim }}<|end|>\n{% endfor %}"
    "{% if add_generation_prompt %}<|user|>assistant\n{% endif %}"
)


@pytest.fixture
def chat_tokenizer(new_tokenizer: NewTokenizer) -> Tokenizer:
    tokenizer = new_tokenizer(special=("<|user|>", "<|end|>"))
    return tokenizer.with_settings(Settings(tokenizer.settings.config, CHAT))


def test_a_chat_model_is_asked_as_its_user_and_answers_as_its_assistant(chat_tokenizer: Tokenizer) -> None:
    task = task_for("llama", chat_tokenizer, 100, template="say it: {source}\n")
    (prompt,) = task.prompts([TextPair("did it sleep?")], 100)
    message = {"role": "user", "content": "say it: did it sleep?"}
    shown = chat_tokenizer.decode(prompt, skip_special=False)
    assert shown == chat_tokenizer.decode(chat_tokenizer.apply_chat_template([message]), skip_special=False)
    source = task.rows([TextPair("did it sleep?", "the cat")], 100)
    assert source.targets is not None
    end = chat_tokenizer.special_tokens["<|end|>"]
    assert source.targets[0].tolist() == [*chat_tokenizer.encode("the cat"), end]
    assert task.end_id == end


def test_a_chat_template_may_be_left_out_and_must_be_there_where_it_is_asked_for(
    chat_tokenizer: Tokenizer, tokenizer: Tokenizer
) -> None:
    plain = task_for("llama", chat_tokenizer, chat=False)
    assert plain.prompts([TextPair("a")], CONTEXT) == [[0, *chat_tokenizer.encode("a"), *chat_tokenizer.encode("\n")]]
    with pytest.raises(ConfigError, match=r"task\.chat=true: the tokenizer has no chat template; leave it out"):
        task_for("llama", tokenizer, chat=True)
    with pytest.raises(ConfigError, match=r"task\.chat=true: encoder-decoders answer no user; leave it out"):
        task_for("t5", chat_tokenizer, chat=True)
    deaf = chat_tokenizer.with_settings(Settings({}, "<|user|>{{ messages | length }}<|end|>"))
    with pytest.raises(ConfigError, match=r"writes what a user says 0 times, so that no source can stand in it"):
        task_for("llama", deaf)


def test_an_encoder_decoder_has_both_texts_framed_and_shifts_by_its_start(tokenizer: Tokenizer) -> None:
    task = task_for("bart", tokenizer, prefix="translate: ")
    source = task.rows(PAIRS[1:2], CONTEXT)
    assert source.inputs[0].tolist() == [*tokenizer.encode("translate: "), *tokenizer.encode("did it sleep?"), 0]
    assert source.targets is not None
    assert source.targets[0].tolist() == [*tokenizer.encode("the dog didn't move"), 0]


@both_ways
def test_a_target_that_is_cut_is_not_told_to_end_and_told_of(name: str, tokenizer: Tokenizer) -> None:
    task = task_for(name, tokenizer, max_target_tokens=4)
    source = task.rows(PAIRS, CONTEXT)
    assert source.targets is not None
    whole = [[*tokenizer.encode(pair.target or ""), 0] for pair in PAIRS]
    assert [source.targets[row].tolist() for row in range(3)] == [ids[:4] for ids in whole]
    cut = sum(len(ids) > 4 for ids in whole)
    assert cut > 0
    assert any(f"{cut} of 3 targets are longer than task.max_target_tokens" in note for note in source.notes)


@both_ways
@pytest.mark.parametrize("long", ["head", "tail"])
def test_a_long_source_loses_the_other_end_and_nothing_around_it(name: str, long: str, tokenizer: Tokenizer) -> None:
    task = task_for(name, tokenizer, long=long, prefix="to: ", template="to: {source} =")
    pair = TextPair(" ".join(ENGLISH[:3]), "x")
    source = task.rows([pair], CONTEXT)
    (prompt,) = task.prompts([pair], CONTEXT)
    before = [*([] if task.has_encoder else [0]), *tokenizer.encode("to: ")]
    behind = [0] if task.has_encoder else tokenizer.encode(" =")
    room = task.config.limits(CONTEXT)[0] - len(before) - len(behind)
    ids = tokenizer.encode(pair.source)
    assert prompt == [*before, *(ids[:room] if long == "head" else ids[-room:]), *behind]
    assert "1 of 1 sources are longer than task.max_source_tokens" in source.notes[0]


@both_ways
def test_what_is_to_be_written_reads_back_as_the_target(name: str, tokenizer: Tokenizer) -> None:
    task = task_for(name, tokenizer)
    source = task.rows(PAIRS, CONTEXT)
    assert source.targets is not None
    written = [task.written(source.targets[row].tolist()) for row in range(3)]
    assert [answer.text for answer in written] == [pair.target for pair in PAIRS]
    columns = task.judged(PAIRS, written)
    assert task.measures()[0].compute(columns) == pytest.approx(100)


def test_the_probability_of_an_answer_is_the_geometric_mean_of_its_tokens(tokenizer: Tokenizer) -> None:
    task = task_for("llama", tokenizer)
    told = task.told(task.written([5, 6, 0], math.log(0.5) + math.log(0.25) + math.log(1.0)))
    assert told["probability"] == pytest.approx(0.5)
    assert next(iter(told)) == "prediction"


@pytest.mark.parametrize("name", ["llama", "t5", "marian"])
def test_smoothing_in_pieces_equals_torch_with_its_gradients(name: str, tokenizer: Tokenizer) -> None:
    """Of a head that is one product, one with a scale, and one with a bias."""
    model = tiny(name, tokenizer)
    hidden = torch.randn(9, 32, dtype=torch.float64, requires_grad=True)
    targets = torch.randint(0, tokenizer.vocab_size, (9,))
    weight = model.get_parameter("lm_head.weight")
    ours = summed_nats(model, hidden, targets, label_smoothing=0.2, chunk=2 * tokenizer.vocab_size)
    logits = model.lm_head(hidden)
    theirs = torch.nn.functional.cross_entropy(logits, targets, label_smoothing=0.2, reduction="sum")
    torch.testing.assert_close(ours, theirs)
    for mine, other in zip(
        torch.autograd.grad(ours, (hidden, weight)), torch.autograd.grad(theirs, (hidden, weight)), strict=True
    ):
        torch.testing.assert_close(mine, other)


def test_labels_are_smoothed_in_training_alone(tokenizer: Tokenizer) -> None:
    plain, smoothed = (task_for("llama", tokenizer, label_smoothing=share) for share in (0.0, 0.1))
    model = tiny("llama", tokenizer)
    batch = plain.batch(Draw.at(plain.rows(PAIRS, CONTEXT), np.arange(3)))
    assert smoothed.loss(model, batch).sum.item() == plain.loss(model, batch).sum.item()
    model.train()
    assert smoothed.loss(model, batch).sum.item() != plain.loss(model, batch).sum.item()


def test_languages_are_learnt_from_the_texts_and_may_stand_in_the_prompt(tokenizer: Tokenizer) -> None:
    config = read_settings({"name": "translation", "prefix": "{source_language} to {target_language}: "})
    pairs = [TextPair(text, english) for text, english in zip(CHINESE[:3], ENGLISH[:3], strict=True)]
    config = config.made_for(family("t5"), 200).learnt(pairs)  # type: ignore[attr-defined]
    assert (config.source_language, config.target_language) == ("zh", "en")
    task = new_task(config, tokenizer)
    assert isinstance(task, Translation)
    assert tokenizer.decode(task.prompts(pairs[:1], 200)[0]).startswith("zh to en: ")


def test_a_tokenizer_learns_from_both_texts() -> None:
    config = read_settings({"name": "summarisation", "columns": {"summary": "title"}})
    record = Record("a long text", "a:1", {"title": "a title"})
    assert [*config.texts_of(record)] == ["a long text", "a title"]  # type: ignore[attr-defined]


@pytest.mark.parametrize(
    ("record", "message"),
    [
        (Record("  ", "a:7", {"target": "x"}), "a:7: an empty 'source', which source is read from"),
        (Record("x", "a:7", {"target": " "}), "a:7: an empty 'target', which target is read from"),
    ],
)
def test_a_bad_record_is_named(record: Record, message: str) -> None:
    with pytest.raises(DataError, match=message):
        Translation.example_of(record, read_settings("translation"))  # type: ignore[arg-type]


def test_an_example_without_a_target_cannot_be_judged(tokenizer: Tokenizer) -> None:
    task = task_for("llama", tokenizer)
    with pytest.raises(DataError, match="b: no target to compare with"):
        task.judged([TextPair("a", None, "b")], [task.written([5])])


def test_settings_that_cannot_be_are_told(tokenizer: Tokenizer) -> None:
    with pytest.raises(ValueError, match="template: 'no place' has 0 times"):
        read_settings({"name": "translation", "template": "no place"})
    with pytest.raises(ConfigError, match=r"task\.way='decoder': t5 does it as encoder-decoder; leave it out"):
        task_for("t5", tokenizer, way="decoder")
    with pytest.raises(ConfigError, match=r"around a source, of which 4 may be read; set a larger train\.context"):
        task_for("llama", tokenizer, 8, template="a long one before {source}").prompts(PAIRS, 8)


@both_ways
def test_it_is_asked_with_the_rows_of_its_training(name: str, tokenizer: Tokenizer) -> None:
    """However much more the model could read."""
    task = task_for(name, tokenizer)
    pair = TextPair(" ".join(ENGLISH[:3]))
    assert task.config.trained_context == CONTEXT
    assert task.prompts([pair], 10 * CONTEXT) == task.prompts([pair], CONTEXT)
