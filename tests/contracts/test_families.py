"""What every family of language models promises; see `LanguageModel` and `DecodeState`."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Callable
from operator import attrgetter
from pathlib import Path

import pytest
import torch
import torch.nn.functional as F
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from torch import Tensor

import wenlu.models
from wenlu.errors import ConfigError
from wenlu.models import FAMILIES, IMAGE_FAMILIES, Ability, DecodeState, Family, LanguageModel, family
from wenlu.models.layers.seeing import SeeingDecoder
from wenlu.models.sizing import count_parameters, scaled
from wenlu.models.weights import load_model, save_model
from wenlu.tasks import IGNORED, Batch, CausalLM

Tiny = Callable[..., LanguageModel]
VOCAB = 31
CAUSAL = [each for each in FAMILIES if Ability.CAUSAL in each.abilities]
every_family = pytest.mark.parametrize("row", FAMILIES, ids=attrgetter("name"))
causal = pytest.mark.parametrize("row", CAUSAL, ids=attrgetter("name"))
PROOF = os.environ.get("WENLU_PROOF") == "1"
EXAMPLES = 12 if PROOF else 5
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


def of_text(model: LanguageModel) -> dict[str, Tensor]:
    """The weights that read text; those that read pictures have contracts of their own."""
    others = model.picture_parts if isinstance(model, SeeingDecoder) else ()
    return {name: weight for name, weight in model.named_parameters() if name.partition(".")[0] not in others}


def test_every_family_file_has_its_row() -> None:
    assert wenlu.models.__file__ is not None
    files = {path.stem for path in Path(wenlu.models.__file__).parent.glob("*.py")}
    assert files - {"__init__", "family", "native", "parallel", "sizing"} == {
        *(row.name for row in FAMILIES),
        *(row.name for row in IMAGE_FAMILIES),
    }


def test_an_unknown_family_suggests_the_nearest_known_one() -> None:
    with pytest.raises(ConfigError, match=r"'llamas' is no model family; did you mean llama\?"):
        family("llamas")


@causal
def test_logits_and_hidden_states_have_the_promised_shapes(row: Family, tiny: Tiny) -> None:
    model = tiny(row)
    assert model(tokens(3, 5)).shape == (3, 5, VOCAB)
    hidden = model.hidden(tokens(3, 5))
    assert hidden.shape[:2] == (3, 5)
    torch.testing.assert_close(model.lm_head(hidden), model(tokens(3, 5)))


@causal
def test_no_position_sees_a_later_one(row: Family, tiny: Tiny) -> None:
    model, ids = tiny(row), tokens(2, 9)
    changed = ids.clone()
    changed[:, 6:] = (changed[:, 6:] + 1) % VOCAB
    before, after = model(ids), model(changed)
    torch.testing.assert_close(before[:, :6], after[:, :6])
    assert ((before[:, 6:] - after[:, 6:]).abs().amax(dim=-1) > 1e-6).all()


@causal
def test_every_position_sees_the_first_one(row: Family, tiny: Tiny) -> None:
    model, ids = tiny(row), tokens(1, 5)
    changed = ids.clone()
    changed[:, 0] = (changed[:, 0] + 1) % VOCAB
    assert ((model(ids) - model(changed)).abs().amax(dim=-1) > 1e-9).all()


@causal
@given(chunks=st.lists(st.integers(1, 6), min_size=1, max_size=7))
@sampled
def test_reading_in_any_chunks_equals_reading_at_once(row: Family, tiny: Tiny, chunks: list[int]) -> None:
    model, ids = tiny(row), tokens(2, sum(chunks))
    state = model.init_state(2)
    pieces = [model(piece, state=state) for piece in ids.split(chunks, dim=1)]
    torch.testing.assert_close(torch.cat(pieces, dim=1), model(ids))
    assert state.lengths.tolist() == [sum(chunks)] * 2
    assert state.lengths.dtype == torch.int64


@causal
@given(lengths=st.lists(st.integers(1, 8), min_size=1, max_size=4), left=st.booleans())
@sampled
def test_padding_on_either_side_changes_nothing(row: Family, tiny: Tiny, lengths: list[int], left: bool) -> None:
    model, rows = tiny(row), documents(lengths)
    ids, mask = padded(rows, left=left)
    together = model(ids, attention_mask=mask)
    assert together.isfinite().all()
    for index, alone in enumerate(rows):
        torch.testing.assert_close(together[index, mask[index].bool()], model(alone[None])[0])


@causal
@given(lengths=st.lists(st.lists(st.integers(1, 5), min_size=1, max_size=3), min_size=1, max_size=3))
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
    parameters = list(of_text(model).values())
    for a, b in zip(
        torch.autograd.grad(packed[mask.bool()].cos().sum(), parameters),
        torch.autograd.grad(separate.cos().sum(), parameters),
        strict=True,
    ):
        torch.testing.assert_close(a, b)


@causal
@given(lengths=st.lists(st.tuples(st.integers(0, 5), st.integers(0, 4)), min_size=1, max_size=4))
@sampled
def test_rows_of_different_lengths_decode_together(row: Family, tiny: Tiny, lengths: list[tuple[int, int]]) -> None:
    """Two padded chunks, where a row may have nothing new, then single tokens; each row as if alone."""
    model = tiny(row)
    first, second = (padded([*documents([n[i] for n in lengths]), tokens(1, 6)[0]], left=False) for i in (0, 1))
    state = model.init_state(len(lengths) + 1)
    for ids, mask in (first, second):
        model(ids, attention_mask=mask, state=state)
    last = [model(tokens(len(lengths) + 1, 1, seed=step), state=state) for step in range(2)]
    for index, (a, b) in enumerate([*lengths, (6, 6)]):
        own = [tokens(len(lengths) + 1, 1, seed=step)[index] for step in range(2)]
        whole = torch.cat([first[0][index, :a], second[0][index, :b], *own])
        torch.testing.assert_close(torch.cat([each[index] for each in last]), model(whole[None])[0, -2:])
        assert state.lengths[index] == a + b + 2


def read(model: LanguageModel, rows: list[Tensor]) -> DecodeState:
    state = model.init_state(len(rows))
    ids, mask = padded(rows, left=False)
    model(ids, attention_mask=mask, state=state)
    return state


@causal
def test_selected_rows_go_on_as_copies_of_their_own(row: Family, tiny: Tiny) -> None:
    model, rows = tiny(row), documents([3, 7, 1])
    state = read(model, rows)
    chosen = state.select(torch.tensor([2, 0, 2]))
    next_ids = tokens(3, 2, seed=9)
    logits = model(next_ids, state=chosen)
    for place, index in enumerate([2, 0, 2]):
        torch.testing.assert_close(logits[place], model(torch.cat([rows[index], next_ids[place]])[None])[0, -2:])
    assert chosen.lengths.tolist() == [3, 5, 3]
    assert state.lengths.tolist() == [3, 7, 1]
    torch.testing.assert_close(  # and the first state did not notice
        model(next_ids[:, :1], state=state)[1, 0], model(torch.cat([rows[1], next_ids[1, :1]])[None])[0, -1]
    )


@causal
def test_joined_states_hold_the_rows_of_all(row: Family, tiny: Tiny) -> None:
    model, rows = tiny(row), documents([2, 9, 4])
    fresh = model.init_state(1)
    joined = type(fresh).join([read(model, rows[:1]), fresh, read(model, rows[1:])])
    assert joined.lengths.tolist() == [2, 0, 9, 4]
    next_ids = tokens(4, 3, seed=5)
    logits = model(next_ids, state=joined)
    for place, past in enumerate([rows[0], rows[0][:0], rows[1], rows[2]]):
        torch.testing.assert_close(logits[place], model(torch.cat([past, next_ids[place]])[None])[0, -3:])


@causal
def test_an_empty_selection_is_an_empty_batch(row: Family, tiny: Tiny) -> None:
    model = tiny(row)
    nobody = read(model, documents([3])).select(torch.tensor([], dtype=torch.int64))
    assert nobody.lengths.tolist() == []
    assert type(nobody).join([nobody, read(model, documents([2]))]).lengths.tolist() == [2]


@causal
def test_a_call_that_fails_leaves_the_state_where_it_was(row: Family, tiny: Tiny) -> None:
    model, ids = tiny(row), tokens(1, 6)
    state = model.init_state(1)
    model(ids[:, :3], state=state)
    with pytest.raises(IndexError):
        model(torch.tensor([[VOCAB]]), state=state)
    assert state.lengths.tolist() == [3]
    torch.testing.assert_close(model(ids[:, 3:], state=state), model(ids)[:, 3:])


@causal
def test_what_a_state_cannot_take_is_refused(row: Family, tiny: Tiny) -> None:
    model, ids = tiny(row), tokens(1, 3)
    with pytest.raises(ValueError, match="padding must stand on the right"):
        model(ids, attention_mask=torch.tensor([[0, 1, 1]]), state=model.init_state(1))
    with pytest.raises(ValueError, match="give each document its own row"):
        model(ids, segments=torch.tensor([[0, 0, 1]]), state=model.init_state(1))


@causal
def test_a_gradient_reaches_every_parameter(row: Family, tiny: Tiny) -> None:
    model, ids = tiny(row), tokens(4, 9)
    loss = F.cross_entropy(model(ids[:, :-1]).flatten(0, 1), ids[:, 1:].flatten())
    loss.backward()
    for name, parameter in of_text(model).items():
        assert parameter.grad is not None, name
        assert parameter.grad.abs().max() > 0, name


@causal
def test_gradients_do_not_flow_into_the_past(row: Family, tiny: Tiny) -> None:
    model, ids = tiny(row), tokens(1, 4)
    state = model.init_state(1)
    model(ids, state=state)
    model(ids, state=state).sum().backward()
    assert model.get_parameter("embed_tokens.weight").grad is not None


@causal
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
    torch.testing.assert_close(loaded(tokens(2, 7)), model(tokens(2, 7)))


@causal
@pytest.mark.parametrize("tied", [False, True])
def test_a_tied_head_stays_tied_through_a_file(row: Family, tiny: Tiny, tied: bool, tmp_path: Path) -> None:
    save_model(tmp_path, tiny(row, tie_word_embeddings=tied), row)
    _, loaded = load_model(tmp_path)
    assert (loaded.get_parameter("lm_head.weight") is loaded.get_parameter("embed_tokens.weight")) == tied


@causal
def test_bf16_answers_like_fp64(row: Family, tiny: Tiny) -> None:
    exact = tiny(row)
    rounded = tiny(row, torch.bfloat16)
    rounded.load_state_dict(exact.state_dict())
    ids = tokens(4, 20)
    with torch.no_grad():
        difference = (rounded(ids).double() - exact(ids)).norm() / exact(ids).norm()
        state = rounded.init_state(4)
        stepwise = torch.cat([rounded(ids[:, i : i + 1], state=state) for i in range(20)], dim=1)
    assert difference < 0.05
    assert ((stepwise - exact(ids)).norm() / exact(ids).norm()) < 0.05


@causal
def test_the_loss_is_the_cross_entropy_of_the_models_own_logits(row: Family, tiny: Tiny) -> None:
    """Value and gradients, whatever the head does beyond a product."""
    model, ids = tiny(row), tokens(2, 9)
    targets = ids[:, 1:].clone()
    targets[0, 3] = IGNORED
    loss = CausalLM().loss(model, Batch(input_ids=ids[:, :-1], targets=targets))
    expected = F.cross_entropy(model(ids[:, :-1]).flatten(0, 1), targets.flatten(), reduction="sum")
    torch.testing.assert_close(loss.sum, expected)
    assert loss.count == 15
    parameters = list(of_text(model).values())
    for a, b in zip(torch.autograd.grad(loss.sum, parameters), torch.autograd.grad(expected, parameters), strict=True):
        torch.testing.assert_close(a, b)


@causal
def test_zero_outputs_begin_at_the_uniform_guess_and_can_learn(row: Family, tiny: Tiny) -> None:
    config = tiny(row, tie_word_embeddings=False).config
    model = row.build(config, dtype=torch.float64, zero_outputs=True)
    ids = tokens(4, 9)
    assert not model(ids).any()
    optimizer = torch.optim.AdamW(model.parameters(), lr=0.03)
    losses = []
    for _ in range(25):
        loss = F.cross_entropy(model(ids[:, :-1]).flatten(0, 1), ids[:, 1:].flatten())
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        losses.append(loss.item())
    assert losses[-1] < 0.9 * losses[0]


@causal
def test_zero_outputs_leave_a_tied_embedding_alone(row: Family, tiny: Tiny) -> None:
    config = tiny(row, tie_word_embeddings=True).config
    assert row.build(config, zero_outputs=True).get_parameter("lm_head.weight").any()


@causal
def test_the_same_seed_gives_the_same_model(row: Family, tiny: Tiny) -> None:
    ids = tokens(1, 4)
    torch.manual_seed(3)
    first = tiny(row)
    torch.manual_seed(3)
    assert torch.equal(first(ids), tiny(row)(ids))
    assert not torch.equal(first(ids), tiny(row)(ids))


@every_family
def test_parameters_are_counted_without_a_model(row: Family, tiny: Tiny) -> None:
    for tied in (False, True):
        model = tiny(row, **{"tie_word_embeddings": tied} if "tie_word_embeddings" in row.config.model_fields else {})
        assert count_parameters(row, model.config) == sum(each.numel() for each in model.parameters())


@every_family
def test_an_outline_takes_no_memory_and_draws_nothing(row: Family, tiny: Tiny) -> None:
    model = tiny(row)
    before = torch.get_rng_state()
    outline = row.outline(model.config)
    assert torch.equal(torch.get_rng_state(), before)
    assert all(each.is_meta for each in [*outline.parameters(), *outline.buffers()])
    assert {k: v.shape for k, v in outline.state_dict().items()} == {k: v.shape for k, v in model.state_dict().items()}


def test_an_outline_does_not_wait_for_the_compiler(tiny: Tiny) -> None:
    """In a new process, since others of these tests do load it."""
    program = (
        "import json, sys; from wenlu.models import family\n"
        "for name, config in json.load(sys.stdin).items():\n"
        "    row = family(name); row.outline(row.config.model_validate_json(config))\n"
        "    assert 'sympy' not in sys.modules, name\n"
        "    print(name)"
    )
    configs = {row.name: tiny(row).config.model_dump_json() for row in FAMILIES}
    found = subprocess.run(
        [sys.executable, "-c", program], input=json.dumps(configs), capture_output=True, text=True, check=False
    )
    assert found.returncode == 0, found.stderr
    assert found.stdout.split() == [row.name for row in FAMILIES]


@pytest.mark.parametrize(
    ("row", "budget"),
    [
        (row, budget)
        for number, row in enumerate(FAMILIES)
        for place, budget in enumerate([30_000, 1_000_000, 20_000_000])
        if PROOF or number % 3 == place
    ],
    ids=lambda each: str(each) if isinstance(each, int) else each.name,
)
def test_no_other_width_is_nearer_to_the_budget(row: Family, tiny: Tiny, budget: int) -> None:
    config = tiny(row).config
    chosen = scaled(row, config, budget)
    row.config.model_validate(chosen.model_dump())
    distance = abs(count_parameters(row, chosen) - budget)
    for step in range(1, 200):
        other = count_parameters(row, config.at_width(step))
        assert abs(other - budget) >= distance
        if other > 2 * budget:
            break


@every_family
def test_a_budget_below_the_narrowest_model_says_what_to_do(row: Family, tiny: Tiny) -> None:
    config = tiny(row, num_hidden_layers=6).config
    with pytest.raises(ConfigError, match=rf"the narrowest {row.name} of this depth .* raise it, or lower vocab_size"):
        scaled(row, config, 10)


@every_family
def test_a_number_of_parameters_chooses_a_width(row: Family) -> None:
    config = row.config(vocab_size=500, **row.proportions)
    for parameters in (300_000, 1_000_000) if PROOF else (300_000,):
        found = count_parameters(row, scaled(row, config, parameters))
        assert abs(found - parameters) < 0.15 * parameters
