"""Keys and values of eight bits: as the plain cache, but for half a step."""

from __future__ import annotations

import pytest
import torch
from torch import Tensor

from wenlu.config import check
from wenlu.errors import ConfigError, UsageError
from wenlu.generation.engine import Engine, Request
from wenlu.generation.settings import SamplingConfig
from wenlu.models import LanguageModel, family
from wenlu.models.layers.int8_cache import Int8KVCache
from wenlu.models.layers.kv_cache import KVCache

SIZES = {"vocab_size": 40, "hidden_size": 32, "intermediate_size": 48, "num_hidden_layers": 2, "num_attention_heads": 4}
SIZES |= {"initializer_range": 0.3, "max_position_embeddings": 64}


def tiny(name: str = "llama", dtype: torch.dtype = torch.float32) -> LanguageModel:
    torch.manual_seed(0)
    chosen = family(name)
    known = {key: value for key, value in SIZES.items() if key in chosen.config.model_fields}
    return chosen.build(chosen.config(**known), dtype=dtype).eval()


def int8(model: LanguageModel, rows: int = 1) -> Int8KVCache:
    state = model.init_state(rows)
    assert isinstance(state, KVCache)
    return Int8KVCache.like(state)


def steps(model: LanguageModel, state: KVCache, ids: Tensor, cuts: list[int]) -> Tensor:
    with torch.no_grad():
        return torch.cat([model(part, state=state) for part in ids.split(cuts, dim=1)], dim=1)


def test_no_key_is_further_off_than_half_a_step_of_its_own() -> None:
    state = int8(tiny(), rows=2)
    keys, values = torch.randn(2, 4, 5, 8), 30 * torch.randn(2, 4, 5, 8)
    reading = state.open(5, None)
    memory = reading.memories[0]
    assert memory is not None
    for read, given in zip(memory.extend(keys, values), (keys, values), strict=True):
        step = given.abs().amax(dim=-1, keepdim=True) / 127
        assert bool(((read - given).abs() <= step / 2 * (1 + 1e-4)).all())


@pytest.mark.parametrize("name", ["llama", "mistral", "qwen3", "gpt2", "gemma3"])
@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
def test_decoding_is_near_to_that_with_a_plain_cache(name: str, dtype: torch.dtype) -> None:
    model = tiny(name, dtype)
    ids = torch.randint(40, (2, 12), generator=torch.Generator().manual_seed(1))
    state, cuts = int8(model, 2), [5, 1, 1, 1, 4]
    found, plain = steps(model, state, ids, cuts), steps(model, model.init_state(2), ids, cuts)  # type: ignore[arg-type]
    assert found.dtype == dtype
    assert 0 < float((found - plain).norm() / plain.norm()) < 0.03
    assert state.lengths.tolist() == [12, 12]


def test_rows_are_chosen_and_joined_as_those_of_a_plain_cache() -> None:
    model = tiny()
    one, two = int8(model), int8(model, 2)
    first = torch.randint(40, (1, 3), generator=torch.Generator().manual_seed(2))
    second = torch.randint(40, (2, 6), generator=torch.Generator().manual_seed(3))
    more = torch.tensor([[7], [8]])
    with torch.no_grad():
        model(first, state=one)
        model(second, state=two)
        joined = Int8KVCache.join([one, two.select(torch.tensor([1]))])
        together = model(more, state=joined)
        alone = model(more[:1], state=one)
    torch.testing.assert_close(together[:1], alone, rtol=1e-4, atol=1e-4)
    assert joined.lengths.tolist() == [4, 7]
    assert joined.dtype == torch.float32


def test_it_takes_a_third_of_the_memory_of_float32() -> None:
    model = tiny()
    state, plain = int8(model), model.init_state(1)
    assert isinstance(plain, KVCache)
    for each in (state, plain):
        with torch.no_grad():
            model(torch.arange(32)[None], state=each)
    taken = sum(block.nbytes for block in (*state._keys, *state._values, *state._key_scales, *state._value_scales))
    assert taken == sum(block.nbytes for block in (*plain._keys, *plain._values)) * (8 + 4) // 32


def test_an_engine_keeps_what_it_is_told_to() -> None:
    engine = Engine(tiny(), cache="int8")
    engine.submit(Request([1, 2, 3], max_new_tokens=4))
    engine.step()
    assert isinstance(engine._state, Int8KVCache)


def test_a_model_that_remembers_otherwise_is_refused() -> None:
    engine = Engine(tiny("lstm"), cache="int8")
    engine.submit(Request([1, 2, 3], max_new_tokens=4))
    with pytest.raises(UsageError, match='cache = "int8" is for decoders that keep keys and values alone'):
        engine.step()


def test_beams_have_the_plain_one() -> None:
    with pytest.raises(ConfigError, match="cache='int8' is not for beams; set num_beams=1, not 2"):
        check(SamplingConfig, {"cache": "int8", "num_beams": 2}, where="generate")
