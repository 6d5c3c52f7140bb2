"""What every family promises that reads one text and writes another; see `EncoderDecoder` and `DecodeState`."""

from __future__ import annotations

import os
from collections.abc import Callable
from operator import attrgetter
from pathlib import Path
from typing import Any

import pytest
import torch
import torch.nn.functional as F
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from torch import Tensor

from wenlu.models import FAMILIES, Ability, DecodeState, Family, LanguageModel
from wenlu.models.weights import load_model, save_model

Tiny = Callable[..., LanguageModel]
VOCAB = 31
ROWS = [each for each in FAMILIES if Ability.ENCODER_DECODER in each.abilities]
families = pytest.mark.parametrize("row", ROWS, ids=attrgetter("name"))
can_tie = pytest.mark.parametrize(
    "row", [row for row in ROWS if "tie_word_embeddings" in row.config.model_fields], ids=attrgetter("name")
)
EXAMPLES = 12 if os.environ.get("WENLU_PROOF") == "1" else 5
sampled = settings(max_examples=EXAMPLES, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])


def tokens(rows: int, length: int, seed: int = 0) -> Tensor:
    return torch.randint(0, VOCAB, (rows, length), generator=torch.Generator().manual_seed(seed))


def texts(lengths: list[int], seed: int = 0) -> list[Tensor]:
    return [tokens(1, length, seed=100 * seed + index)[0] for index, length in enumerate(lengths)]


def padded(rows: list[Tensor], *, left: bool = False) -> tuple[Tensor, Tensor]:
    """Rows of different lengths as one batch, with its attention mask."""
    longest = max(len(row) for row in rows)
    ids, mask = torch.zeros(len(rows), longest, dtype=torch.int64), torch.zeros(len(rows), longest, dtype=torch.int64)
    for index, row in enumerate(rows):
        place = slice(longest - len(row), None) if left else slice(len(row))
        ids[index, place], mask[index, place] = row, 1
    return ids, mask


def alone(model: LanguageModel, source: Tensor, target: Tensor) -> Tensor:
    """(T, V) logits of one pair without a state."""
    out: Tensor = model(source[None], decoder_input_ids=target[None])[0]
    return out


def read(model: LanguageModel, sources: list[Tensor], targets: list[Tensor]) -> DecodeState:
    """A state that has read pairs whose targets are of equal length."""
    state = model.init_state(len(sources))
    ids, mask = padded(sources)
    model(ids, attention_mask=mask, decoder_input_ids=torch.stack(targets), state=state)
    return state


@families
def test_logits_and_hidden_states_are_of_the_target(row: Family, tiny: Tiny) -> None:
    model, source, target = tiny(row), tokens(3, 7), tokens(3, 5, seed=1)
    assert model(source, decoder_input_ids=target).shape == (3, 5, VOCAB)
    hidden = model.hidden(source, decoder_input_ids=target)
    assert hidden.shape[:2] == (3, 5)
    torch.testing.assert_close(model.lm_head(hidden), model(source, decoder_input_ids=target))


@families
def test_no_target_position_sees_a_later_one(row: Family, tiny: Tiny) -> None:
    model, source, target = tiny(row), tokens(2, 4), tokens(2, 9, seed=1)
    changed = target.clone()
    changed[:, 6:] = (changed[:, 6:] + 1) % VOCAB
    before, after = model(source, decoder_input_ids=target), model(source, decoder_input_ids=changed)
    torch.testing.assert_close(before[:, :6], after[:, :6])
    assert ((before[:, 6:] - after[:, 6:]).abs().amax(dim=-1) > 1e-6).all()


@families
def test_every_target_position_sees_the_first_one_and_every_source_token(row: Family, tiny: Tiny) -> None:
    model, source, target = tiny(row), tokens(1, 4), tokens(1, 5, seed=1)
    before = model(source, decoder_input_ids=target)
    changed = target.clone()
    changed[:, 0] = (changed[:, 0] + 1) % VOCAB
    assert ((before - model(source, decoder_input_ids=changed)).abs().amax(dim=-1) > 1e-9).all()
    for place in range(4):
        changed = source.clone()
        changed[:, place] = (changed[:, place] + 1) % VOCAB
        assert ((before - model(changed, decoder_input_ids=target)).abs().amax(dim=-1) > 1e-9).all()


@families
def test_the_order_of_the_source_matters(row: Family, tiny: Tiny) -> None:
    model, source, target = tiny(row), torch.arange(1, 7)[None], tokens(1, 5, seed=1)
    before, after = (model(each, decoder_input_ids=target) for each in (source, source.flip(1)))
    assert ((before - after).abs().amax(dim=-1) > 1e-6).all()


@families
@given(lengths=st.lists(st.tuples(st.integers(1, 8), st.integers(1, 6)), min_size=1, max_size=4), left=st.booleans())
@sampled
def test_padding_changes_nothing(row: Family, tiny: Tiny, lengths: list[tuple[int, int]], left: bool) -> None:
    """On either side of the source, on the right of the target."""
    model = tiny(row)
    sources, targets = texts([n for n, _ in lengths]), texts([n for _, n in lengths], seed=1)
    ids, mask = padded(sources, left=left)
    together = model(ids, attention_mask=mask, decoder_input_ids=padded(targets)[0])
    assert together.isfinite().all()
    for index, (source, target) in enumerate(zip(sources, targets, strict=True)):
        torch.testing.assert_close(together[index, : len(target)], alone(model, source, target))


@families
@given(lengths=st.lists(st.integers(1, 8), min_size=2, max_size=3), left=st.booleans())
@sampled
def test_padding_changes_no_gradient(row: Family, tiny: Tiny, lengths: list[int], left: bool) -> None:
    model = tiny(row)
    sources, targets = texts(lengths), texts([5] * len(lengths), seed=1)
    ids, mask = padded(sources, left=left)
    together = model(ids, attention_mask=mask, decoder_input_ids=torch.stack(targets))
    separate = torch.stack([alone(model, *pair) for pair in zip(sources, targets, strict=True)])
    parameters = list(model.parameters())
    for a, b in zip(
        torch.autograd.grad(together.cos().sum(), parameters),
        torch.autograd.grad(separate.cos().sum(), parameters),
        strict=True,
    ):
        torch.testing.assert_close(a, b)


@families
@given(chunks=st.lists(st.integers(1, 6), min_size=1, max_size=6))
@sampled
def test_writing_in_any_chunks_equals_writing_at_once(row: Family, tiny: Tiny, chunks: list[int]) -> None:
    model, target = tiny(row), tokens(2, sum(chunks), seed=1)
    ids, mask = padded(texts([4, 7]))
    state = model.init_state(2)
    pieces = []
    for index, piece in enumerate(target.split(chunks, dim=1)):
        first: dict[str, Any] = {"input_ids": ids, "attention_mask": mask} if index == 0 else {"input_ids": None}
        pieces.append(model(**first, decoder_input_ids=piece, state=state))
    expected = model(ids, attention_mask=mask, decoder_input_ids=target)
    torch.testing.assert_close(torch.cat(pieces, dim=1), expected)
    assert state.lengths.tolist() == [sum(chunks)] * 2
    assert state.lengths.dtype == torch.int64


@families
def test_the_source_is_read_once(row: Family, tiny: Tiny) -> None:
    """Its keys and values for the decoder too: nothing that reads the encoder's output runs again."""
    model, calls = tiny(row), []
    for name in ("encoder", *(name for name, _ in model.named_modules() if name.endswith("cross_attn.k_proj"))):
        model.get_submodule(name).register_forward_hook(lambda *_, name=name: calls.append(name))
    state = model.init_state(2)
    model(tokens(2, 5), decoder_input_ids=tokens(2, 1), state=state)
    once = list(calls)
    for step in range(3):
        model(None, decoder_input_ids=tokens(2, 1, seed=step), state=state)
    assert "encoder" in once
    assert calls == once


@families
@given(lengths=st.lists(st.tuples(st.integers(1, 6), st.integers(0, 4), st.integers(0, 3)), min_size=1, max_size=4))
@sampled
def test_rows_of_different_lengths_decode_together(
    row: Family, tiny: Tiny, lengths: list[tuple[int, int, int]]
) -> None:
    """After the start token two padded chunks of targets, then single tokens; each row as if alone."""
    model = tiny(row)
    lengths = [*lengths, (7, 5, 5)]
    sources = texts([n for n, _, _ in lengths])
    targets = [texts([n[place] for n in lengths], seed=place) for place in (1, 2)]
    starts = tokens(len(lengths), 1, seed=77)
    state = read(model, sources, list(starts))
    for chunk in targets:
        ids, mask = padded(chunk)
        model(None, attention_mask=mask, decoder_input_ids=ids, state=state)
    steps = [tokens(len(lengths), 1, seed=step) for step in range(2)]
    last = [model(None, decoder_input_ids=step, state=state) for step in steps]
    for index, (_, a, b) in enumerate(lengths):
        whole = torch.cat([starts[index], targets[0][index], targets[1][index], *(step[index] for step in steps)])
        found = torch.cat([each[index] for each in last])
        torch.testing.assert_close(found, alone(model, sources[index], whole)[-2:])
        assert state.lengths[index] == a + b + 3


@families
def test_selected_rows_go_on_as_copies_of_their_own(row: Family, tiny: Tiny) -> None:
    model, sources, targets = tiny(row), texts([3, 7, 1]), texts([4, 4, 4], seed=1)
    state = read(model, sources, targets)
    chosen = state.select(torch.tensor([2, 0, 2]))
    following = tokens(3, 2, seed=9)
    logits = model(None, decoder_input_ids=following, state=chosen)
    for place, index in enumerate([2, 0, 2]):
        whole = torch.cat([targets[index], following[place]])
        torch.testing.assert_close(logits[place], alone(model, sources[index], whole)[-2:])
    assert chosen.lengths.tolist() == [6, 6, 6]
    assert state.lengths.tolist() == [4, 4, 4]
    whole = torch.cat([targets[1], following[1, :1]])  # and the first state did not notice
    logits = model(None, decoder_input_ids=following[:, :1], state=state)
    torch.testing.assert_close(logits[1, 0], alone(model, sources[1], whole)[-1])


@families
@pytest.mark.parametrize("lengths", [[3, 7, 1], [4, 4, 4]])
def test_joined_states_hold_the_rows_of_all(row: Family, tiny: Tiny, lengths: list[int]) -> None:
    model, sources, targets = tiny(row), texts(lengths), texts([2, 5, 5], seed=1)
    first, rest = read(model, sources[:1], targets[:1]), read(model, sources[1:], targets[1:])
    joined = type(first).join([first, rest])
    assert joined.lengths.tolist() == [2, 5, 5]
    following = tokens(3, 3, seed=5)
    logits = model(None, decoder_input_ids=following, state=joined)
    for place in range(3):
        whole = torch.cat([targets[place], following[place]])
        torch.testing.assert_close(logits[place], alone(model, sources[place], whole)[-3:])


@families
def test_an_empty_selection_is_an_empty_batch(row: Family, tiny: Tiny) -> None:
    model = tiny(row)
    nobody = read(model, texts([3]), texts([2])).select(torch.tensor([], dtype=torch.int64))
    assert nobody.lengths.tolist() == []
    joined = type(nobody).join([nobody, read(model, texts([2]), texts([3]))])
    assert joined.lengths.tolist() == [3]
    expected = alone(model, texts([2])[0], torch.cat([texts([3])[0], tokens(1, 1)[0]]))[-1:]
    torch.testing.assert_close(model(None, decoder_input_ids=tokens(1, 1), state=joined)[0], expected)


@families
def test_states_without_a_source_join_only_each_other(row: Family, tiny: Tiny) -> None:
    model, sources, targets = tiny(row), texts([3, 5]), texts([4, 4], seed=1)
    fresh = model.init_state(1)
    both = type(fresh).join([fresh, model.init_state(1)])
    ids, mask = padded(sources)
    logits = model(ids, attention_mask=mask, decoder_input_ids=torch.stack(targets), state=both)
    for index in range(2):
        torch.testing.assert_close(logits[index], alone(model, sources[index], targets[index]))
    with pytest.raises(ValueError, match="some of the states have read no source yet"):
        type(fresh).join([both, model.init_state(1)])


@families
def test_a_call_that_fails_leaves_the_state_where_it_was(row: Family, tiny: Tiny) -> None:
    model, source, target = tiny(row), tokens(1, 4), tokens(1, 6, seed=1)
    state = model.init_state(1)
    with pytest.raises(IndexError):
        model(source, decoder_input_ids=torch.tensor([[VOCAB]]), state=state)
    model(source, decoder_input_ids=target[:, :3], state=state)
    with pytest.raises(IndexError):
        model(None, decoder_input_ids=torch.tensor([[VOCAB]]), state=state)
    assert state.lengths.tolist() == [3]
    found = model(None, decoder_input_ids=target[:, 3:], state=state)
    torch.testing.assert_close(found, model(source, decoder_input_ids=target)[:, 3:])


@families
def test_what_cannot_be_read_is_refused(row: Family, tiny: Tiny) -> None:
    model, source, target = tiny(row), tokens(1, 3), tokens(1, 2)
    state = model.init_state(1)
    with pytest.raises(ValueError, match="no source was read yet"):
        model(None, decoder_input_ids=target, state=state)
    with pytest.raises(ValueError, match="nothing but padding"):
        model(tokens(2, 3), attention_mask=torch.tensor([[1, 1, 0], [0, 0, 0]]), decoder_input_ids=tokens(2, 2))
    with pytest.raises(ValueError, match="give each pair of texts its own row"):
        model(source, decoder_input_ids=target, segments=torch.tensor([[0, 0, 1]]))
    model(source, decoder_input_ids=target, state=state)
    with pytest.raises(ValueError, match="holds a source already"):
        model(source, decoder_input_ids=target, state=state)
    with pytest.raises(ValueError, match="padding must stand on the right"):
        model(None, decoder_input_ids=target, attention_mask=torch.tensor([[0, 1]]), state=state)


@families
def test_a_gradient_reaches_every_parameter(row: Family, tiny: Tiny) -> None:
    model, target = tiny(row), tokens(4, 9, seed=1)
    logits = model(tokens(4, 7), decoder_input_ids=target[:, :-1])
    F.cross_entropy(logits.flatten(0, 1), target[:, 1:].flatten()).backward()
    for name, parameter in model.named_parameters():
        assert parameter.grad is not None, name
        assert parameter.grad.abs().max() > 0, name


@families
def test_gradients_do_not_flow_into_the_past(row: Family, tiny: Tiny) -> None:
    """Neither into the source nor into earlier target tokens of a state."""
    model, state = tiny(row), tiny(row).init_state(1)
    model(tokens(1, 4), decoder_input_ids=tokens(1, 4), state=state).sum().backward()
    model.zero_grad()
    model(None, decoder_input_ids=tokens(1, 4), state=state).sum().backward()
    assert model.get_parameter("lm_head.weight").grad is not None
    own = set(dict(model.get_submodule("encoder").named_parameters(prefix="encoder")))
    assert all(model.get_parameter(name).grad is None for name in own)


@families
def test_only_training_drops_values(row: Family, tiny: Tiny) -> None:
    model, source, target = tiny(row), tokens(2, 6), tokens(2, 5, seed=1)
    assert torch.equal(model(source, decoder_input_ids=target), model(source, decoder_input_ids=target))
    model.train()
    assert not torch.equal(model(source, decoder_input_ids=target), model(source, decoder_input_ids=target))
    masked = torch.tensor([[1] * 6, [0, 0, 1, 1, 1, 1]])
    assert model(source, attention_mask=masked, decoder_input_ids=target).isfinite().all()


@families
@pytest.mark.parametrize("dtype", [torch.float64, torch.float32, torch.bfloat16], ids=str)
def test_saved_weights_load_to_the_bit(row: Family, tiny: Tiny, dtype: torch.dtype, tmp_path: Path) -> None:
    model = tiny(row, dtype)
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
    source, target = tokens(2, 7), tokens(2, 5, seed=1)
    expected = model(source, decoder_input_ids=target)
    torch.testing.assert_close(loaded(source, decoder_input_ids=target), expected)


@can_tie
@pytest.mark.parametrize("tied", [False, True])
def test_a_tied_head_stays_tied_through_a_file(row: Family, tiny: Tiny, tied: bool, tmp_path: Path) -> None:
    save_model(tmp_path, tiny(row, tie_word_embeddings=tied), row)
    _, loaded = load_model(tmp_path)
    assert (loaded.get_parameter("lm_head.weight") is loaded.get_parameter("embed_tokens.weight")) == tied


@families
def test_bf16_answers_like_fp64(row: Family, tiny: Tiny) -> None:
    exact = tiny(row)
    rounded = tiny(row, torch.bfloat16)
    rounded.load_state_dict(exact.state_dict())
    target = tokens(3, 12, seed=1)
    ids, mask = padded(texts([5, 20, 13]))
    with torch.no_grad():
        expected = exact(ids, attention_mask=mask, decoder_input_ids=target)
        found = rounded(ids, attention_mask=mask, decoder_input_ids=target).double()
        state = rounded.init_state(3)
        steps = [rounded(ids, attention_mask=mask, decoder_input_ids=target[:, :1], state=state)]
        steps += [rounded(None, decoder_input_ids=target[:, i : i + 1], state=state) for i in range(1, 12)]
    assert (found - expected).norm() / expected.norm() < 0.05
    assert (torch.cat(steps, dim=1) - expected).norm() / expected.norm() < 0.05


@families
def test_zero_outputs_begin_at_the_uniform_guess_and_can_learn(row: Family, tiny: Tiny) -> None:
    untied = {"tie_word_embeddings": False} if "tie_word_embeddings" in row.config.model_fields else {}
    model = row.build(tiny(row, **untied).config, dtype=torch.float64, zero_outputs=True).eval()
    source, target = tokens(4, 7), tokens(4, 9, seed=1)
    assert not model(source, decoder_input_ids=target).any()
    optimizer = torch.optim.AdamW(model.parameters(), lr=0.03)
    losses = []
    for _ in range(25):
        logits = model(source, decoder_input_ids=target[:, :-1])
        loss = F.cross_entropy(logits.flatten(0, 1), target[:, 1:].flatten())
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        losses.append(loss.item())
    assert losses[-1] < 0.9 * losses[0]


@families
def test_the_same_seed_gives_the_same_model(row: Family, tiny: Tiny) -> None:
    source, target = tokens(1, 4), tokens(1, 3)
    torch.manual_seed(3)
    first = tiny(row)
    torch.manual_seed(3)
    again, other = tiny(row), tiny(row)
    expected = first(source, decoder_input_ids=target)
    assert torch.equal(again(source, decoder_input_ids=target), expected)
    assert not torch.equal(other(source, decoder_input_ids=target), expected)
