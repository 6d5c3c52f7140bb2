"""What every family promises whose positions see both sides; see `Encoder`."""

from __future__ import annotations

import os
from collections.abc import Callable
from operator import attrgetter
from pathlib import Path

import pytest
import torch
import torch.nn.functional as F
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from torch import Tensor, nn

from wenlu.models import FAMILIES, Ability, Family, LanguageModel
from wenlu.models.layers.encoder import CLASSIFYING, Encoder, MaskedHead
from wenlu.models.weights import load_model, save_model

Tiny = Callable[..., LanguageModel]
VOCAB = 31
MASKED = [each for each in FAMILIES if Ability.MASKED in each.abilities]
masked = pytest.mark.parametrize("row", MASKED, ids=attrgetter("name"))
every_head = pytest.mark.parametrize(
    ("row", "head"),
    [(row, head) for row in MASKED for head in row.heads],
    ids=lambda each: each if isinstance(each, str) else each.name,
)
EXAMPLES = 12 if os.environ.get("WENLU_PROOF") == "1" else 5
sampled = settings(max_examples=EXAMPLES, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])


def tokens(rows: int, length: int, seed: int = 0) -> Tensor:
    return torch.randint(0, VOCAB, (rows, length), generator=torch.Generator().manual_seed(seed))


def documents(lengths: list[int]) -> list[Tensor]:
    return [tokens(1, length, seed=index)[0] for index, length in enumerate(lengths)]


def padded(rows: list[Tensor], *, left: bool) -> tuple[Tensor, Tensor]:
    """Rows of different lengths as one batch, with its attention mask."""
    longest = max(len(row) for row in rows)
    ids, mask = torch.zeros(len(rows), longest, dtype=torch.int64), torch.zeros(len(rows), longest, dtype=torch.int64)
    for index, row in enumerate(rows):
        place = slice(longest - len(row), None) if left else slice(len(row))
        ids[index, place], mask[index, place] = row, 1
    return ids, mask


def encoder(tiny: Tiny, row: Family, **changes: object) -> Encoder:
    model = tiny(row, **changes)
    assert isinstance(model, Encoder)
    return model


@every_head
def test_each_head_answers_in_its_shape(row: Family, head: str, tiny: Tiny) -> None:
    labels = {} if head == "question-answering" else {"id2label": {0: "a", 1: "b", 2: "c"}}
    model = encoder(tiny, row, head=head, **labels)
    hidden = model.hidden(tokens(4, 5))
    size = model.config.hidden_size
    assert hidden.shape == (4, 5, size)
    assert model.pooled(hidden).shape == (4, size)
    expected = {
        "none": (4, 5, size),
        "sequence-classification": (4, 3),
        "token-classification": (4, 5, 3),
        "question-answering": (4, 5, 2),
    }
    assert model(tokens(4, 5)).shape == expected.get(head, (4, 5, VOCAB))
    if head not in CLASSIFYING:
        torch.testing.assert_close(model.lm_head(hidden), model(tokens(4, 5)))


@masked
def test_a_bare_encoder_ends_in_the_identity(row: Family, tiny: Tiny) -> None:
    model = tiny(row, head="none")
    assert isinstance(model.lm_head, nn.Identity)
    torch.testing.assert_close(model(tokens(2, 5)), model.hidden(tokens(2, 5)), rtol=0, atol=0)


@masked
def test_every_position_sees_every_other(row: Family, tiny: Tiny) -> None:
    model, ids = tiny(row), tokens(1, 7)
    before = model(ids)
    for place in range(7):
        changed = ids.clone()
        changed[:, place] = (changed[:, place] + 1) % VOCAB
        assert ((before - model(changed)).abs().amax(dim=-1) > 1e-9).all(), place


@masked
def test_the_order_of_tokens_matters(row: Family, tiny: Tiny) -> None:
    model, ids = tiny(row), tokens(1, 7)
    assert ((model(ids) - model(ids.flip(1)).flip(1)).abs().amax(dim=-1) > 1e-6).any()


@every_head
@given(lengths=st.lists(st.integers(1, 12), min_size=1, max_size=4), left=st.booleans())
@sampled
def test_padding_on_either_side_changes_nothing(
    row: Family, head: str, tiny: Tiny, lengths: list[int], left: bool
) -> None:
    model, rows = encoder(tiny, row, head=head), documents(lengths)
    ids, mask = padded(rows, left=left)
    together = model(ids, attention_mask=mask)
    pooled = model.pooled(model.hidden(ids, attention_mask=mask), mask)
    assert together.isfinite().all()
    for index, alone in enumerate(rows):
        own = together[index] if head == "sequence-classification" else together[index, mask[index].bool()]
        torch.testing.assert_close(own, model(alone[None])[0])
        torch.testing.assert_close(pooled[index], model.pooled(model.hidden(alone[None]))[0])


@masked
def test_a_row_of_nothing_but_padding_harms_no_other(row: Family, tiny: Tiny) -> None:
    model, ids = tiny(row), tokens(2, 5)
    mask = torch.tensor([[1, 1, 1, 1, 1], [0, 0, 0, 0, 0]])
    logits = model(ids, attention_mask=mask)
    assert logits.isfinite().all()
    torch.testing.assert_close(logits[:1], model(ids[:1]))
    logits.sum().backward()
    assert all(each.grad is None or each.grad.isfinite().all() for each in model.parameters())


@masked
@given(lengths=st.lists(st.lists(st.integers(1, 9), min_size=1, max_size=3), min_size=1, max_size=3))
@sampled
def test_packed_documents_equal_separate_ones(row: Family, tiny: Tiny, lengths: list[list[int]]) -> None:
    """Values and gradients, with packed rows of unequal length padded on the right."""
    model = tiny(row)
    rows = [documents(each) for each in lengths]
    ids, mask = padded([torch.cat(row) for row in rows], left=False)
    numbers, _ = padded(
        [torch.cat([torch.full((n,), i + 1) for i, n in enumerate(each)]) for each in lengths], left=False
    )
    packed = model(ids, attention_mask=mask, segments=numbers)
    separate = torch.cat([model(document[None])[0] for row in rows for document in row])
    torch.testing.assert_close(packed[mask.bool()], separate)
    parameters = list(model.parameters())
    for a, b in zip(
        torch.autograd.grad(packed[mask.bool()].cos().sum(), parameters),
        torch.autograd.grad(separate.cos().sum(), parameters),
        strict=True,
    ):
        torch.testing.assert_close(a, b)


@masked
def test_token_types_are_used_or_refused(row: Family, tiny: Tiny) -> None:
    model, ids = encoder(tiny, row), tokens(2, 6)
    first, second = torch.zeros_like(ids), torch.ones_like(ids)
    if model.reads_token_types:
        torch.testing.assert_close(model(ids, token_types=first), model(ids))
        assert ((model(ids, token_types=second) - model(ids)).abs().amax(dim=-1) > 1e-6).all()
    else:
        with pytest.raises(AssertionError, match="has no token types"):
            model(ids, token_types=first)


@masked
def test_positions_are_those_of_the_row_unless_given(row: Family, tiny: Tiny) -> None:
    model, ids = tiny(row), tokens(2, 6)
    counted = torch.arange(6).expand(2, 6)
    torch.testing.assert_close(model(ids, positions=counted), model(ids))
    assert (model(ids, positions=2 * counted) - model(ids)).abs().max() > 1e-6


@masked
def test_a_memory_is_refused(row: Family, tiny: Tiny) -> None:
    with pytest.raises(NotImplementedError, match="reads both ways and remembers nothing between calls"):
        tiny(row).init_state(1)


@every_head
def test_a_gradient_reaches_every_weight_that_is_used(row: Family, head: str, tiny: Tiny) -> None:
    model, ids = encoder(tiny, row, head=head), tokens(4, 30)
    answer = model(ids)
    loss = answer.cos().sum() + model.pooled(model.hidden(ids)).cos().sum()
    if head == "pretraining":
        loss = loss + model.sentence_logits(model.hidden(ids)).cos().sum()
    loss.backward()
    for name, parameter in model.named_parameters():
        assert parameter.grad is not None, name
        assert parameter.grad.abs().max() > 0, name


@every_head
@pytest.mark.parametrize("dtype", [torch.float64, torch.float32, torch.bfloat16], ids=str)
def test_saved_weights_load_to_the_bit(row: Family, head: str, tiny: Tiny, dtype: torch.dtype, tmp_path: Path) -> None:
    model = tiny(row, dtype, head=head)
    save_model(tmp_path, model, row)
    found, loaded = load_model(tmp_path)
    assert found is row
    assert loaded.config == model.config
    assert not loaded.training
    weights = model.state_dict()
    assert loaded.state_dict().keys() == weights.keys()
    for key, weight in loaded.state_dict().items():
        assert weight.dtype == dtype
        assert torch.equal(weight, weights[key]), key
    torch.testing.assert_close(loaded(tokens(2, 7)), model(tokens(2, 7)))


@masked
@pytest.mark.parametrize("tied", [False, True])
def test_a_tied_decoder_stays_tied_through_a_file(row: Family, tiny: Tiny, tied: bool, tmp_path: Path) -> None:
    save_model(tmp_path, tiny(row, tie_word_embeddings=tied), row)
    _, loaded = load_model(tmp_path)
    assert isinstance(loaded.lm_head, MaskedHead)
    assert (loaded.lm_head.decoder.weight is loaded.get_parameter("embed_tokens.weight")) == tied


@every_head
def test_bf16_answers_like_fp64(row: Family, head: str, tiny: Tiny) -> None:
    exact = tiny(row, head=head, initializer_range=0.1)
    rounded = tiny(row, torch.bfloat16, head=head)
    rounded.load_state_dict(exact.state_dict())
    ids = tokens(4, 20)
    with torch.no_grad():
        difference = (rounded(ids).double() - exact(ids)).norm() / exact(ids).norm()
    assert difference < 0.05


@masked
def test_zero_outputs_begin_at_the_uniform_guess_and_can_learn(row: Family, tiny: Tiny) -> None:
    """The model learns to copy, which a masked model must where a token is not masked."""
    model = row.build(tiny(row, tie_word_embeddings=False).config, dtype=torch.float64, zero_outputs=True)
    ids = tokens(4, 9)
    assert not model(ids).any()
    optimizer = torch.optim.AdamW(model.parameters(), lr=0.03)
    losses = []
    for _ in range(25):
        loss = F.cross_entropy(model(ids).flatten(0, 1), ids.flatten())
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        losses.append(loss.item())
    assert losses[-1] < 0.9 * losses[0]


@every_head
def test_fresh_weights_are_drawn_as_in_the_paper(row: Family, head: str) -> None:
    model = row.build(row.config(vocab_size=600, head=head, **row.proportions))
    for name, parameter in model.named_parameters():
        if name.endswith("bias"):
            assert not parameter.any(), name
        elif "norm" in name:
            assert (parameter == 1).all(), name
    assert model.get_parameter("embed_tokens.weight").std().item() == pytest.approx(0.02, rel=0.02)
    assert model.get_parameter("layers.0.self_attn.q_proj.weight").std().item() == pytest.approx(0.02, rel=0.02)


DROPOUTS = {
    "hidden_dropout_prob": 0.5,
    "attention_probs_dropout_prob": 0.5,
    "embedding_dropout": 0.5,
    "attention_dropout": 0.5,
    "mlp_dropout": 0.5,
}


@masked
def test_dropout_acts_in_training_alone(row: Family, tiny: Tiny) -> None:
    ids, tried = tokens(2, 9), 0
    for name, share in DROPOUTS.items():
        if name not in row.config.model_fields:
            continue
        none = {key: 0.0 for key in DROPOUTS if key in row.config.model_fields}
        model = tiny(row, **{**none, name: share})
        torch.testing.assert_close(model(ids), model(ids), rtol=0, atol=0)
        model.train()
        assert not torch.equal(model(ids), model(ids)), name
        model = tiny(row, **none).train()
        torch.testing.assert_close(model(ids), model(ids), rtol=0, atol=0)
        tried += 1
    assert tried >= 2
