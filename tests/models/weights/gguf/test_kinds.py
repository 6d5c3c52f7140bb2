"""Every tensor type of GGUF becomes the numbers that the format's own project reads in it."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import gguf
import numpy as np
import pytest
import torch
from gguf import GGMLQuantizationType, quants

from wenlu.models.weights.gguf.header import read_header
from wenlu.models.weights.gguf.kinds import KINDS, Kind
from wenlu.models.weights.gguf.tensors import stored_tensors

Array = np.ndarray[Any, Any]
BLOCKS = [kind for kind in KINDS.values() if kind.dtype is None]
WRITTEN = ("Q4_0", "Q4_1", "Q5_0", "Q5_1", "Q8_0")
ROWS, COLUMNS = 3, 512


def random_blocks(kind: Kind) -> Array:
    """Bytes of blocks whose scales are ordinary numbers: half-precision exponents are kept small."""
    chance = np.random.default_rng(kind.number)
    blocks = chance.integers(0, 256, (ROWS, COLUMNS // kind.block, kind.block_bytes), dtype=np.uint8)
    scales = chance.uniform(-2, 2, blocks.shape[:2]).astype(np.float16).view(np.uint8).reshape(*blocks.shape[:2], 2)
    for place in SCALES.get(kind.name, (0,)):
        blocks[..., place : place + 2] = scales
    if kind.name == "MXFP4":  # its scale is a power of two in one byte
        blocks[..., 0] = blocks[..., 0] % 16 + 120
    return blocks.reshape(ROWS, -1)


SCALES = {
    "Q4_1": (0, 2), "Q5_1": (0, 2), "Q2_K": (80, 82), "Q3_K": (108,), "Q4_K": (0, 2), "Q5_K": (0, 2), "Q6_K": (208,),
    "TQ1_0": (52,), "TQ2_0": (64,), "MXFP4": (),
}  # fmt: skip


def write(path: Path, tensors: dict[str, tuple[Array, GGMLQuantizationType | None]]) -> Path:
    writer = gguf.GGUFWriter(path, "llama")
    for name, (data, kind) in tensors.items():
        writer.add_tensor(name, data, raw_dtype=kind)
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()
    return path


def test_block_sizes_are_those_of_the_format() -> None:
    for kind in KINDS.values():
        number = GGMLQuantizationType(kind.number)
        assert (kind.name, kind.block, kind.block_bytes) == (number.name, *gguf.GGML_QUANT_SIZES[number])


@pytest.mark.parametrize("kind", BLOCKS, ids=lambda kind: kind.name)
def test_blocks_of_any_bytes_are_read_as_the_format_says(kind: Kind, tmp_path: Path) -> None:
    data, number = random_blocks(kind), GGMLQuantizationType(kind.number)
    path = write(tmp_path / "m.gguf", {"w": (data, number)})
    item = stored_tensors(read_header(path))["w"]
    assert (item.shape, item.dtype) == ((ROWS, COLUMNS), torch.float32)
    expected = quants.dequantize(data, number)
    np.testing.assert_array_equal(item.read().numpy(), expected)
    if kind.name in FORMULAS:
        np.testing.assert_allclose(item.read().numpy(), FORMULAS[kind.name](data), rtol=1e-6)


@pytest.mark.parametrize("name", WRITTEN)
def test_a_quantised_matrix_stays_near_the_one_it_came_from(name: str, tmp_path: Path) -> None:
    values = np.random.default_rng(0).standard_normal((ROWS, COLUMNS)).astype(np.float32)
    number = GGMLQuantizationType[name]
    path = write(tmp_path / "m.gguf", {"w": (quants.quantize(values, number), number)})
    read = stored_tensors(read_header(path))["w"].read().numpy()
    steps = {"Q4": 8, "Q5": 16, "Q8": 127}[name[:2]]
    largest = np.abs(values.reshape(ROWS, -1, 32)).max(-1, keepdims=True)
    assert (np.abs(read - values).reshape(ROWS, -1, 32) <= largest / steps * 1.01).all()


@pytest.mark.parametrize("dtype", [np.float32, np.float16, np.float64], ids=["F32", "F16", "F64"])
def test_floats_are_views_of_the_file(dtype: type, tmp_path: Path) -> None:
    values = np.arange(24, dtype=dtype).reshape(2, 3, 4) / 7
    item = stored_tensors(read_header(write(tmp_path / "m.gguf", {"w": (values, None)})))["w"]
    np.testing.assert_array_equal(item.read().numpy(), values)
    assert item.read().data_ptr() == item.read().data_ptr()


def test_bfloat16_is_read_bit_for_bit(tmp_path: Path) -> None:
    values = torch.randn(4, 8).bfloat16()
    path = write(tmp_path / "m.gguf", {"w": (values.view(torch.uint8).numpy(), GGMLQuantizationType.BF16)})
    assert torch.equal(stored_tensors(read_header(path))["w"].read(), values)


def _half(data: Array, start: int) -> Array:
    return data[..., start : start + 2].copy().view(np.float16).astype(np.float32)


def q4_0(data: Array) -> Array:
    """x = d · (q − 8); byte j holds q of j in its low half and of j + 16 in its high half."""
    blocks = data.reshape(ROWS, -1, 18)
    nibbles = np.concatenate([blocks[..., 2:] & 15, blocks[..., 2:] >> 4], axis=-1)
    return (_half(blocks, 0) * (nibbles.astype(np.float32) - 8)).reshape(ROWS, -1)


def q8_0(data: Array) -> Array:
    """x = d · q."""
    blocks = data.reshape(ROWS, -1, 34)
    return (_half(blocks, 0) * blocks[..., 2:].copy().view(np.int8).astype(np.float32)).reshape(ROWS, -1)


def q6_k(data: Array) -> Array:
    """x = d · s · (q − 32), q of 4 low bits and 2 high ones, s an int8 a sixteenth of the block; one value a time."""
    blocks = data.reshape(-1, 210)
    result = np.empty((len(blocks), 256), np.float32)
    for block, out in zip(blocks, result, strict=True):
        low, high, scale = block[:128], block[128:192], block[192:208].copy().view(np.int8)
        d = float(_half(block, 208)[0])
        for i in range(256):
            half, rest = divmod(i, 128)
            quarter, place = divmod(rest, 32)
            nibble = int(low[64 * half + 32 * (quarter % 2) + place]) >> (4 * (quarter // 2)) & 15
            bits = int(high[32 * half + place]) >> (2 * quarter) & 3
            out[i] = d * int(scale[i // 16]) * ((nibble | bits << 4) - 32)
    return result.reshape(ROWS, -1)


FORMULAS: dict[str, Callable[[Array], Array]] = {"Q4_0": q4_0, "Q8_0": q8_0, "Q6_K": q6_k}
