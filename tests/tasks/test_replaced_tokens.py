"""What the generator puts in place of hidden tokens, what the discriminator is asked, and how both are kept."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch
from tests.tasks.tiny import ENGLISH, NewData, NewTokenizer, settings, tiny_model

from wenlu.corpus.packing import PackedRow, Windows
from wenlu.corpus.passages import Passages
from wenlu.models import FAMILIES, Family
from wenlu.models.weights import load_model, save_model
from wenlu.tasks import IGNORED, Draw, ReplacedTokens, load_task, new_task
from wenlu.tasks.replaced_tokens import GeneratorAndDiscriminator, draw_tokens, replaced
from wenlu.tokenizers import Tokenizer


@pytest.fixture
def tokenizer(new_tokenizer: NewTokenizer) -> Tokenizer:
    return new_tokenizer(special=["[MASK]"])


@pytest.fixture
def task(tokenizer: Tokenizer) -> ReplacedTokens:
    task = new_task(settings("replaced-tokens", rate=0.25, generator_size=0.5), tokenizer)
    assert isinstance(task, ReplacedTokens)
    return task


@pytest.fixture
def model(task: ReplacedTokens, tokenizer: Tokenizer) -> GeneratorAndDiscriminator:
    return task.trained(tiny_model(task.config, tokenizer.vocab_size))


def test_tokens_are_drawn_by_their_probabilities() -> None:
    logits = torch.log(torch.tensor([[0.5, 0.0, 0.2, 0.3]], dtype=torch.float64)).repeat(5, 1)
    chances = torch.tensor([0.1, 0.49, 0.51, 0.69, 0.999999999])
    assert draw_tokens(logits, chances).tolist() == [0, 0, 2, 2, 3]
    many = torch.rand(20_000, dtype=torch.float64)
    counts = torch.bincount(draw_tokens(logits[:1].repeat(20_000, 1), many), minlength=4) / 20_000
    torch.testing.assert_close(counts, torch.tensor([0.5, 0.0, 0.2, 0.3]), atol=0.02, rtol=0)


def test_a_token_counts_as_replaced_exactly_where_it_is_another(
    task: ReplacedTokens, tokenizer: Tokenizer, new_data: NewData
) -> None:
    source = Windows(new_data(tokenizer), 32)
    draw = Draw.at(source, np.arange(8))
    batch = task.batch(draw)
    original = torch.from_numpy(draw.rows.ids[:, :-1])
    asked = batch.targets != IGNORED
    drawn = batch.targets[asked].clone()
    drawn[::2] = (drawn[::2] + 1) % tokenizer.vocab_size  # the generator is right at every other place
    ids, labels = replaced(batch, drawn)
    assert torch.equal(labels, (ids != original).long())
    assert int(labels.sum()) == (len(drawn) + 1) // 2
    assert torch.equal(ids[~asked], original[~asked])
    assert torch.equal(ids[asked], drawn)
    assert (batch.input_ids[asked] == task.masking.mask_id).all()


def test_the_loss_is_the_mean_over_hidden_tokens_and_50_times_the_mean_over_all(
    task: ReplacedTokens, model: GeneratorAndDiscriminator, tokenizer: Tokenizer, new_data: NewData
) -> None:
    new = new_task(settings("replaced-tokens", rate=0.25, whole_words=False, generator_size=0.5), tokenizer)
    assert isinstance(new, ReplacedTokens)
    source = Passages(new_data(tokenizer), 32)
    batch = new.batch(Draw.at(source, np.array([0, 2])))
    assert batch.attention_mask is None  # two full rows, so that a quarter of the tokens is hidden exactly
    model.eval()
    with torch.no_grad():
        loss = new.loss(model, batch)
        asked = batch.targets != IGNORED
        logits = model.generator(batch.input_ids)[asked]
        hidden = torch.nn.functional.cross_entropy(logits, batch.targets[asked])
        assert batch.chances is not None
        ids, labels = replaced(batch, draw_tokens(logits, batch.chances[asked]))
        found = torch.nn.functional.cross_entropy(model.discriminator(ids).flatten(0, 1), labels.flatten())
    assert loss.count == 16
    assert loss.sum.item() / loss.count == pytest.approx((hidden + 50 * found).item(), rel=1e-12)
    assert loss.parts["detection"].count == 64


def test_no_gradient_flows_from_the_discriminator_into_the_generator(
    task: ReplacedTokens, model: GeneratorAndDiscriminator, tokenizer: Tokenizer, new_data: NewData
) -> None:
    guesses = task.guesses(model, task.batch(Draw.at(Windows(new_data(tokenizer), 32), np.arange(2))))
    torch.autograd.backward(guesses["detection"].nll.sum())
    shared = {id(weight) for weight in model.discriminator.parameters()}
    for name, weight in model.generator.named_parameters():
        assert (weight.grad is not None) == (id(weight) in shared), name


def test_both_share_their_embeddings_and_the_generator_is_smaller(model: GeneratorAndDiscriminator) -> None:
    generator, discriminator = model.generator, model.discriminator
    for name in ("embed_tokens.weight", "embed_positions.weight", "embed_types.weight"):
        assert generator.get_parameter(name) is discriminator.get_parameter(name)
    assert generator.get_parameter("lm_head.decoder.weight") is generator.get_parameter("embed_tokens.weight")
    assert generator.config.model_dump()["num_hidden_layers"] == 1
    assert generator.config.model_dump()["intermediate_size"] == 32


@pytest.mark.parametrize(
    "row", [row for row in FAMILIES if settings("replaced-tokens").accepts(row)], ids=lambda r: r.name
)
def test_every_family_that_it_accepts_makes_a_pair_that_is_kept(
    row: Family, task: ReplacedTokens, tokenizer: Tokenizer, tmp_path: Path
) -> None:
    sizes = {"hidden_size": 24, "intermediate_size": 32, "num_hidden_layers": 2, "num_attention_heads": 2}
    config = row.config(vocab_size=tokenizer.vocab_size, **sizes, **task.config.model_settings)
    pair = task.trained(row.build(config))
    save_model(tmp_path, task.kept(pair), row)
    task.save(tmp_path, pair, row)
    _, model = load_model(tmp_path)
    again = load_task(tmp_path, tokenizer)
    assert isinstance(again, ReplacedTokens)
    ids = np.array([tokenizer.encode(ENGLISH[0])[:24]])
    batch = task.batch(Draw.of(PackedRow(ids, np.zeros_like(ids))))
    with torch.no_grad():
        before = task.loss(pair.eval(), batch)
        after = again.loss(model.eval(), batch)
    assert after.sum.item() == pytest.approx(before.sum.item(), rel=1e-6)
    assert config.model_dump()["id2label"] == {0: "original", 1: "replaced"}
