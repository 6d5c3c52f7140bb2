"""Pages of keys and values: who owns them, what lies in them, and that models read them as they read a plain cache."""

from __future__ import annotations

import random

import pytest
import torch
from torch import Tensor

from wenlu.models import LanguageModel, family
from wenlu.models.layers.kv_cache import AttentionState, KVCache
from wenlu.models.layers.paged_cache import PagedKVCache, PagePool, PageShape

SIZES = {"vocab_size": 40, "hidden_size": 32, "intermediate_size": 48, "num_hidden_layers": 2, "num_attention_heads": 4}
SIZES |= {"initializer_range": 0.3, "max_position_embeddings": 64, "head_dim": 8}
CPU = torch.device("cpu")


def tiny(name: str = "llama", dtype: torch.dtype = torch.float32) -> LanguageModel:
    torch.manual_seed(0)
    chosen = family(name)
    known = {key: value for key, value in SIZES.items() if key in chosen.config.model_fields}
    return chosen.build(chosen.config(**known), dtype=dtype).eval()


def pool(dtype: torch.dtype = torch.float32, kept_as: torch.dtype | None = None, pages: int = 12) -> PagePool:
    shape = PageShape(num_layers=2, num_kv_heads=4, head_dim=8, dtype=dtype, kept_as=kept_as or dtype, page_size=4)
    return PagePool(shape, pages, CPU)


def paged(own: PagePool, rows: int = 2) -> PagedKVCache:
    """Empty texts with room for 24 tokens each, whose pages are in disorder."""
    pages = own.take(6 * rows)
    random.Random(1).shuffle(pages)
    return PagedKVCache(own, torch.tensor(pages).view(rows, 6), (0,) * rows)


def steps(model: LanguageModel, state: AttentionState, ids: Tensor, cuts: list[int]) -> Tensor:
    with torch.no_grad():
        return torch.cat([model(part, state=state) for part in ids.split(cuts, dim=1)], dim=1)


@pytest.mark.parametrize("name", ["llama", "mistral", "qwen3", "gpt2", "gemma3"])
def test_a_model_reads_pages_as_a_plain_cache(name: str) -> None:
    model = tiny(name)
    ids = torch.randint(40, (2, 12), generator=torch.Generator().manual_seed(1))
    state, cuts = paged(pool()), [5, 1, 1, 1, 4]
    torch.testing.assert_close(steps(model, state, ids, cuts), steps(model, model.init_state(2), ids, cuts))  # type: ignore[arg-type]
    assert state.lengths.tolist() == [12, 12]


@pytest.mark.parametrize("kept_as", [torch.bfloat16, torch.int8])
@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
def test_what_is_kept_in_fewer_bits_answers_nearly_the_same(dtype: torch.dtype, kept_as: torch.dtype) -> None:
    model = tiny("llama", dtype)
    ids = torch.randint(40, (2, 12), generator=torch.Generator().manual_seed(1))
    cuts = [5, 1, 1, 1, 4]
    found = steps(model, paged(pool(dtype, kept_as)), ids, cuts)
    plain = steps(model, paged(pool(dtype)), ids, cuts)
    assert found.dtype == dtype
    assert float((found - plain).norm() / plain.norm()) < 0.03
    assert bool((found != plain).any()) == (dtype != kept_as)


def test_no_key_of_eight_bits_is_further_off_than_half_a_step_of_its_own() -> None:
    state = paged(pool(kept_as=torch.int8))
    keys, values = torch.randn(2, 4, 5, 8), 30 * torch.randn(2, 4, 5, 8)
    memory = state.open(5, None).memories[0]
    assert memory is not None
    for read, given in zip(memory.extend(keys, values), (keys, values), strict=True):
        step = given.abs().amax(dim=-1, keepdim=True) / 127
        assert bool(((read - given).abs() <= step / 2 * (1 + 1e-4)).all())


@pytest.mark.parametrize("name", ["llama", "gpt2"])
def test_padding_is_not_written_and_needs_no_position_beyond_the_context(name: str) -> None:
    model = tiny(name)
    one, two = (torch.randint(40, (1, n), generator=torch.Generator().manual_seed(n)) for n in (63, 5))
    own = pool(pages=18)
    table = torch.tensor([own.take(16), [*own.take(2), *[0] * 14]])
    state = PagedKVCache(own, table, (0, 0))
    both = torch.zeros(2, 62, dtype=torch.int64)
    both[0], both[1, :2] = one[0, :62], two[0, :2]
    mask = torch.zeros_like(both)
    mask[0], mask[1, :2] = 1, 1
    more = torch.tensor([[int(one[0, 62]), 0, 0], two[0, 2:].tolist()])  # the padding would stand at 63 and 64
    with torch.no_grad():
        model(both, attention_mask=mask, state=state)
        found = model(more, attention_mask=torch.tensor([[1, 0, 0], [1, 1, 1]]), state=state)
        torch.testing.assert_close(found[0, 0], model(one)[0, 62], rtol=1e-4, atol=1e-4)
        torch.testing.assert_close(found[1], model(two)[0, 2:], rtol=1e-4, atol=1e-4)
    assert state.lengths.tolist() == [63, 5]


def test_rows_are_chosen_and_joined_as_those_of_a_plain_cache() -> None:
    model = tiny()
    own = pool(pages=18)
    states: list[tuple[AttentionState, AttentionState]] = []
    for length, rows in ((3, 1), (6, 2)):
        ids = torch.randint(40, (rows, length), generator=torch.Generator().manual_seed(length))
        both = paged(own, rows), model.init_state(rows)
        assert isinstance(both[1], KVCache)
        with torch.no_grad():
            for state in both:
                model(ids, state=state)
        states.append(both)
    with torch.no_grad():
        found, expected = (
            model(torch.tensor([[7], [8]]), state=type(one).join([one, two.select(torch.tensor([1]))]))
            for one, two in zip(*states, strict=True)
        )
    torch.testing.assert_close(found, expected)


def test_pages_have_the_owners_that_a_plain_count_says() -> None:
    chance, own = random.Random(3), pool(pages=7)
    counted: dict[int, int] = {}
    for _ in range(500):
        held = [page for page, count in counted.items() for _ in range(count)]
        match chance.randrange(3):
            case 0 if own.free:
                for page in own.take(chance.randint(1, own.free)):
                    assert counted.get(page, 0) == 0
                    counted[page] = 1
            case 1 if held:
                page = chance.choice(held)
                own.retain([page])
                counted[page] += 1
            case _ if held:
                page = chance.choice(held)
                own.release([page])
                counted[page] -= 1
        assert [own.owners(page) for page in range(7)] == [counted.get(page, 0) for page in range(7)]
        assert own.free == sum(not counted.get(page, 0) for page in range(7))


def test_a_copy_holds_what_the_page_held_and_leaves_it_to_its_other_owners() -> None:
    own = pool(kept_as=torch.int8)
    (page,) = own.take(1)
    for number, tensor in enumerate(own.tensors):
        tensor[:, page] = number + 1
    own.retain([page])
    new = own.copied(page)
    for number, tensor in enumerate(own.tensors):
        assert bool((tensor[:, new] == number + 1).all())
        tensor[:, new] = 0
        assert bool((tensor[:, page] == number + 1).all())
    assert (own.owners(page), own.owners(new)) == (1, 1)


def test_a_page_that_was_never_written_is_finite_whatever_lay_there() -> None:
    own = pool()
    for tensor in own.tensors:
        tensor.fill_(torch.nan)
    assert all(bool(tensor[:, own.take(3)].isfinite().all()) for tensor in own.tensors[:1])
    (page,) = own.take(1)
    own.keys[:, page] = 5.0
    own.release([page])
    assert own.take(1) == [page]
    assert bool((own.keys[:, page] == 5.0).all()), "what was written is finite, and not written again"
