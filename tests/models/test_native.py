"""A decoder as one native call against the same decoder in torch."""

from __future__ import annotations

import ctypes
import os
import subprocess
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest
import torch
import torch.nn.functional as F
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor, nn

from wenlu.kernels import native
from wenlu.kernels.decoder import PAGE, NativeDecoder, Pages
from wenlu.kernels.native import why_not
from wenlu.kernels.quantised import nearest_codes, values
from wenlu.models import LanguageModel, family
from wenlu.models.layers.rope import RopeConfig
from wenlu.models.native import Weights, native_decoder, packed_decoder, why_not_native
from wenlu.models.quantised import GridConfig, dequantised, quantise_linears

pytestmark = pytest.mark.skipif(why_not("decoder") is not None, reason=f"no native decoder: {why_not('decoder')}")

SIZES = {
    "vocab_size": 90,
    "hidden_size": 48,
    "intermediate_size": 72,
    "num_hidden_layers": 2,
    "num_attention_heads": 6,
    "num_key_value_heads": 2,
    "head_dim": 16,
    "max_position_embeddings": 128,
    "initializer_range": 0.15,
}
SHAPES: dict[str, tuple[str, dict[str, Any]]] = {
    "llama": ("llama", {}),
    "llama, biases, longer angles": (
        "llama",
        {
            "attention_bias": True,
            "mlp_bias": True,
            "rope_parameters": RopeConfig(rope_type="yarn", factor=4.0, original_max_position_embeddings=32),
        },
    ),
    "llama, no groups, large heads": (
        "llama",
        {"num_attention_heads": 2, "num_key_value_heads": 2, "head_dim": 48, "tie_word_embeddings": True},
    ),
    "mistral, a window": ("mistral", {"sliding_window": 20}),
    "qwen2": ("qwen2", {}),
    "qwen3": ("qwen3", {}),
}
LENGTHS = (70, 45, 3)


def made(shape: str = "llama", **changes: Any) -> LanguageModel:
    name, settings = SHAPES[shape]
    row = family(name)
    with torch.random.fork_rng():
        torch.manual_seed(1)
        model = row.model(row.config(**{**SIZES, **settings, **changes}))  # type: ignore[call-arg]
        for parameter in model.parameters():
            if parameter.ndim == 1:
                nn.init.normal_(parameter, 1.0, 0.2)
    return model.eval()


def texts(model: LanguageModel) -> list[Tensor]:
    generator = torch.Generator().manual_seed(2)
    return [torch.randint(0, model.config.vocab_size, (length,), generator=generator) for length in LENGTHS]


class Reader:
    """A native decoder with pages enough for the texts, in no order, and nothing but NaN in them."""

    def __init__(self, model: LanguageModel, decoder: NativeDecoder, cache: torch.dtype) -> None:
        self.model, self.decoder = model, decoder
        self.texts = texts(model)
        config = model.config
        layers, heads, size = config.num_hidden_layers, config.num_key_value_heads, config.head_dim
        each = -(-max(LENGTHS) // PAGE)
        pages = each * len(LENGTHS)
        order = torch.randperm(pages, generator=torch.Generator().manual_seed(3))
        self.tables = order.view(len(LENGTHS), each).int()
        if cache == torch.int8:
            keys = torch.full((layers, pages, heads, size, PAGE), 77, dtype=cache)
            scales = [torch.full((layers, pages, heads, PAGE), torch.nan) for _ in range(2)]
            self.pages: Pages = (keys, keys.transpose(3, 4).contiguous(), *scales)
        else:
            keys = torch.full((layers, pages, heads, size, PAGE), torch.nan, dtype=cache)
            self.pages = (keys, torch.full((layers, pages, heads, PAGE, size), torch.nan, dtype=cache), None, None)

    def logits(self, calls: Sequence[Sequence[tuple[int, int]]]) -> dict[tuple[int, int], Tensor]:
        """Those of every (text, position) that the calls read together."""
        found = {}
        for rows in calls:
            sequences, positions = (torch.tensor(column, dtype=torch.int32) for column in zip(*rows, strict=True))
            ids = torch.tensor([int(self.texts[text][position]) for text, position in rows])
            with torch.inference_mode():
                embedded = self.model.embed_tokens(ids).float()  # type: ignore[operator]
                out = self.decoder(
                    embedded,
                    self.pages,
                    positions=positions,
                    sequences=sequences,
                    tables=self.tables,
                    wanted=torch.arange(len(rows), dtype=torch.int32),
                )
            found |= dict(zip(rows, out, strict=True))
        return found

    def whole(self) -> list[Tensor]:
        """(T, V) of each text, all read in one call."""
        found = self.logits([[(text, place) for text, length in enumerate(LENGTHS) for place in range(length)]])
        return [torch.stack([found[text, place] for place in range(length)]) for text, length in enumerate(LENGTHS)]


def in_torch(model: LanguageModel) -> list[Tensor]:
    with torch.inference_mode():
        return [model(text[None])[0].float() for text in texts(model)]


def apart(ours: list[Tensor], theirs: list[Tensor]) -> float:
    ours, theirs = [torch.cat(ours)], [torch.cat(theirs)]
    return float((ours[0] - theirs[0]).norm() / theirs[0].norm())


@pytest.mark.parametrize("shape", SHAPES)
def test_plain_weights_give_the_logits_of_torch(shape: str) -> None:
    model = made(shape)
    ours = Reader(model, native_decoder(model, "float32"), torch.float32).whole()
    for mine, theirs in zip(ours, in_torch(model), strict=True):
        torch.testing.assert_close(mine, theirs, atol=1e-4, rtol=1e-4)


def rounded_as_read(model: LanguageModel, weights: Weights) -> LanguageModel:
    """The model with the weights that are packed, whose maps round what they read to eight bits in groups of 32."""

    def round_inputs(_: nn.Module, inputs: tuple[Tensor]) -> tuple[Tensor]:
        (x,) = inputs
        groups = F.pad(x, (0, -x.size(-1) % 32)).unflatten(-1, (-1, 32))
        scales = groups.abs().amax(dim=-1, keepdim=True) / 127
        near = (groups / scales.clamp(min=1e-30)).round() * scales
        return (near.flatten(-2)[..., : x.size(-1)],)

    for name, module in list(model.named_modules()):
        if isinstance(module, nn.Linear):
            bits = 8 if weights == "int8" or name == "lm_head" else 4
            found = values(nearest_codes(module.weight, bits), torch.float32)  # type: ignore[arg-type]
            module.weight = nn.Parameter(found)
            module.register_forward_pre_hook(round_inputs)  # type: ignore[arg-type]
    return model


@pytest.mark.parametrize("weights", ["int8", "int4"])
@pytest.mark.parametrize("shape", ["llama, biases, longer angles", "qwen3"])
def test_codes_give_what_torch_gives_with_the_same_weights_and_inputs(shape: str, weights: Weights) -> None:
    ours = Reader(made(shape), native_decoder(made(shape), weights), torch.float32).whole()
    same = in_torch(rounded_as_read(made(shape), weights))
    near, far = apart(ours, same), apart(ours, in_torch(made(shape)))
    assert near < 0.01  # an input between two steps may go to the other one
    assert near < far / 3  # and that is not because rounding does nothing


@pytest.mark.parametrize(("cache", "bound"), [(torch.bfloat16, 0.02), (torch.int8, 0.03)])
def test_a_smaller_cache_moves_logits_a_little(cache: torch.dtype, bound: float) -> None:
    model = made()
    decoder = native_decoder(model, "float32")
    exact = Reader(model, decoder, torch.float32).whole()
    assert 1e-5 < apart(Reader(model, decoder, cache).whole(), exact) < bound


def test_bfloat16_weights_are_those_of_the_model() -> None:
    model = made().bfloat16()
    exact = in_torch(model.float())
    assert apart(Reader(model, native_decoder(model, "bfloat16"), torch.float32).whole(), exact) < 1e-5


@pytest.mark.parametrize(
    "grid",
    [
        GridConfig(bits=8, group_size="row"),
        GridConfig(bits=8, group_size=32, symmetric=False),
        GridConfig(bits=4, group_size=64),
        GridConfig(bits=4, group_size=32, symmetric=False, scale_dtype="float32"),
    ],
)
def test_quantised_maps_are_read_as_they_are(grid: GridConfig) -> None:
    model = made(hidden_size=96, intermediate_size=128)
    quantise_linears(model, grid)
    ours = Reader(model, native_decoder(model, "float32"), torch.float32).whole()
    assert apart(ours, in_torch(dequantised(model))) < 0.05  # the inputs are rounded to eight bits


def test_maps_of_one_input_that_are_stored_in_different_ways_are_read_right() -> None:
    """Gate and up read the same rounded inputs, and so do queries, keys and values."""
    model = made(hidden_size=96, intermediate_size=128)
    quantise_linears(model, GridConfig(bits=4, group_size=32, symmetric=False), ["layers.0.mlp.up_proj"])
    quantise_linears(model, GridConfig(bits=8, group_size="row"), ["layers.0.mlp.gate_proj", "layers.1.mlp.up_proj"])
    quantise_linears(model, GridConfig(bits=8, group_size=32), ["layers.1.self_attn.k_proj"])
    for weights in ("float32", "int8"):
        ours = Reader(model, native_decoder(model, weights), torch.float32).whole()
        assert apart(ours, in_torch(dequantised(model))) < 0.05


calls = st.lists(st.tuples(st.integers(0, len(LENGTHS) - 1), st.integers(1, 40)), min_size=1, max_size=12)


@settings(max_examples=500 if os.environ.get("WENLU_PROOF") else 15, deadline=None)
@given(
    steps=calls,
    together=st.booleans(),
    weights=st.sampled_from(["float32", "bfloat16", "int8", "int4"]),
    cache=st.sampled_from([torch.float32, torch.bfloat16, torch.int8]),
)
def test_a_row_is_bit_for_bit_the_same_whatever_is_read_beside_it_and_in_whatever_chunks(
    steps: list[tuple[int, int]], together: bool, weights: Weights, cache: torch.dtype
) -> None:
    model = made("mistral, a window")
    decoder = native_decoder(model, weights)
    read = [0] * len(LENGTHS)
    chunks: list[list[tuple[int, int]]] = []
    for text, count in steps:
        end = min(LENGTHS[text], read[text] + count)
        rows = [(text, place) for place in range(read[text], end)]
        read[text] = end
        if not rows:
            continue
        if together and chunks and all(row[0] != text for row in chunks[-1]):
            chunks[-1] += rows
        else:
            chunks.append(rows)
    whole = Reader(model, decoder, cache).whole()
    for (text, place), found in Reader(model, decoder, cache).logits(chunks).items():
        assert torch.equal(found, whole[text][place])


def test_weights_are_packed_again_once_they_have_changed() -> None:
    model = made()
    first = packed_decoder(model, "float32")
    assert packed_decoder(model, "float32") is first
    assert packed_decoder(model, "int8") is not first
    before = packed_decoder(model, "float32")
    with torch.no_grad():
        model.get_parameter("norm.weight").data.numpy()[:] *= 2.0  # as a kernel does, which torch does not count
    again = packed_decoder(model, "float32")
    assert again is not before
    assert apart(Reader(model, again, torch.float32).whole(), in_torch(model)) < 1e-5


def test_the_number_of_threads_changes_nothing() -> None:
    model = made()
    reader = Reader(model, native_decoder(model, "int4"), torch.bfloat16)
    threads = torch.get_num_threads()
    try:
        found = []
        for count in (1, 3):
            torch.set_num_threads(count)
            found.append(torch.cat(reader.whole()))
    finally:
        torch.set_num_threads(threads)
    assert torch.equal(*found)


@pytest.mark.skipif(not os.environ.get("WENLU_PROOF"), reason="a build of its own: WENLU_PROOF=1")
@pytest.mark.parametrize("extra", [("-mavx2", "-mfma", "-mf16c"), ("-mavx512f", "-mavx512bw", "-mf16c", "-mfma")])
def test_processors_with_less_do_the_same(
    extra: tuple[str, ...], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """With AVX2 alone, and with AVX-512 without its instructions for products of bytes."""
    library, source = tmp_path / "decoder.so", Path(native.__file__).with_name("decoder.cpp")
    flags = [flag for flag in native.FLAGS if flag != "-march=native"]
    subprocess.run(["g++", str(source), "-o", str(library), *flags, *extra], check=True)
    model = made("mistral, a window")
    for weights, bound in (("float32", 1e-5), ("bfloat16", 1e-5), ("int8", 0.005), ("int4", 0.005)):
        for cache in (torch.float32, torch.bfloat16, torch.int8):
            here = Reader(model, native_decoder(model, weights), cache).whole()
            with monkeypatch.context() as patch:
                patch.setattr("wenlu.kernels.decoder.kernels", lambda _: native.Kernels(ctypes.CDLL(str(library))))
                there = Reader(model, native_decoder(model, weights), cache).whole()
            assert apart(there, here) < max(bound, 1e-5 if cache == torch.float32 else 0.005)


@given(st.integers(0, 2**32 - 1), st.sampled_from([4, 8]))
@settings(max_examples=40, deadline=None)
def test_weights_of_a_gguf_file_are_met_exactly(seed: int, bits: int) -> None:
    """Q8_0 and Q4_1 leave in every group the codes of both ends, so their scales are found again."""
    generator = torch.Generator().manual_seed(seed)
    scales = (torch.rand(3, 2, 1, generator=generator) + 0.01).half().float()
    if bits == 8:
        codes = torch.randint(-127, 128, (3, 2, 32), generator=generator)
        codes[..., 5] = -127
        weight = codes * scales
    else:
        codes = torch.randint(0, 16, (3, 2, 32), generator=generator)
        codes[..., 7], codes[..., 9] = 0, 15
        weight = codes * scales + torch.randn(3, 2, 1, generator=generator).half().float()
    weight = weight.view(3, 64)
    assert torch.equal(values(nearest_codes(weight, bits), torch.float32), weight)  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("change", "reason"),
    [
        ({"head_dim": 24}, "heads have 24 numbers"),
        ({"hidden_act": "relu"}, "does not know: the feed-forward"),
        ({"rope_parameters": RopeConfig(rope_type="dynamic", factor=2.0)}, "'dynamic'"),
    ],
)
def test_what_the_native_call_does_not_know_is_said(change: dict[str, Any], reason: str) -> None:
    assert why_not_native(made()) is None
    told = why_not_native(made(**change))
    assert told is not None
    assert reason in told


def test_other_families_and_types_of_numbers_stay_with_torch() -> None:
    assert "Gemma3" in str(why_not_native(made_of("gemma3")))
    assert "float64" in str(why_not_native(made().double()))


def made_of(name: str) -> LanguageModel:
    row = family(name)
    return row.model(row.config(**{**SIZES, "num_hidden_layers": 1}))  # type: ignore[call-arg]
