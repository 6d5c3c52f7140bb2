"""A whole forward pass of a Llama-like decoder as one native call: `native/decoder.cpp`.

Products with codes round their inputs to eight bits, groups of 32 with a scale of their own, so sums of whole numbers
are exact; those with plain weights are in float32. Where there is no native code, models run as torch runs them.
"""

from __future__ import annotations

import ctypes
from collections.abc import Sequence
from dataclasses import dataclass, replace
from threading import Lock

import torch
import torch.nn.functional as F
from torch import Tensor

from wenlu.kernels.native import Kernels, kernels, why_not
from wenlu.kernels.quantised import Codes, unpack

PART = "decoder"
LANES = 16
GROUP = 32
PAGE = 32
"""Tokens of a page of keys and values."""
MOST_HEAD = 256
Pages = tuple[Tensor, Tensor, Tensor | None, Tensor | None]
"""Keys, values, and the scales of each where they have eight bits."""
_CACHES = {torch.float32: 0, torch.bfloat16: 1, torch.int8: 2}


@dataclass(frozen=True)
class Packed:
    """A linear map's weight in the order in which it is read: tiles of 16 outputs.

    Attributes:
        tiles: (⌈M / 16⌉, bytes) uint8.
        bias: (16 ⌈M / 16⌉,) float32.
        bits: 32 and 16 are float32 and bfloat16, 8 and 4 codes.
        has_floors: a weight is scale · code + floor, rather than scale · (code − middle).
        has_wide_scales: scales and floors are float32, rather than float16.
    """

    tiles: Tensor
    bias: Tensor | None
    outputs: int
    columns: int
    bits: int
    has_floors: bool = False
    has_wide_scales: bool = False

    @property
    def nbytes(self) -> int:
        return self.tiles.nbytes + (0 if self.bias is None else self.bias.nbytes)


@dataclass(frozen=True)
class LayerWeights:
    """One decoder layer; norms (D,), `turns` (context, H') the cosines and then the sines of each position."""

    qkv: Packed
    out: Packed
    gate: Packed
    up: Packed
    down: Packed
    attention_norm: Tensor
    mlp_norm: Tensor
    q_norm: Tensor | None
    k_norm: Tensor | None
    turns: Tensor | None
    window: int | None

    @property
    def maps(self) -> tuple[Packed, ...]:
        """In the order in which they are read."""
        return self.qkv, self.out, self.gate, self.up, self.down


def pack_plain(weights: Sequence[Tensor], biases: Sequence[Tensor | None], dtype: torch.dtype) -> Packed:
    """Several maps of the same input, one below the other, in float32 or bfloat16; (M, K) weights, (M,) biases."""
    weight = _padded(torch.cat([each.detach() for each in weights]).to(dtype), LANES, GROUP)
    tiles = weight.view(-1, LANES, weight.size(1) // 2, 2).transpose(1, 2)  # (tiles, K/2, 16, 2)
    if dtype == torch.float32:
        tiles = tiles.transpose(2, 3)
    return Packed(
        tiles.contiguous().view(torch.uint8).flatten(1),
        _biases(weights, biases),
        outputs=sum(len(each) for each in weights),
        columns=weights[0].size(1),
        bits=weight.element_size() * 8,
    )


def pack_codes(codes: Sequence[Codes], biases: Sequence[Tensor | None]) -> Packed:
    """The same of quantised maps that agree in bits; 32 columns must share a scale, or all."""
    first = codes[0]
    assert all(each.group % GROUP == 0 or each.group >= each.columns for each in codes), first.group
    numbers = torch.cat([unpack(each.packed, each.bits, each.columns) for each in codes])
    groups = -(-first.columns // GROUP)
    is_floored = any(each.zeros is not None or each.floors is not None for each in codes)
    is_wide = any(each.scales.dtype != torch.float16 or each.zeros is not None for each in codes)
    dtype = torch.float32 if is_wide else torch.float16
    scales = torch.cat([_spread(each, each.scales, groups) for each in codes])
    tables = [scales, torch.cat([_spread(each, _floors(each), groups) for each in codes])] if is_floored else [scales]
    tiles = _padded(numbers, LANES, GROUP).view(-1, LANES, groups, GROUP // 4, 4).permute(0, 2, 3, 1, 4)
    if first.bits == 4:  # the first 16 columns of a group in the low halves, the others in the high ones
        tiles = tiles[:, :, :4] | (tiles[:, :, 4:] << 4)
    pieces = [tiles.flatten(2)]
    for table in tables:
        rows = _padded(table.to(dtype), LANES, 1).view(-1, LANES, groups).transpose(1, 2)
        pieces.append(rows.contiguous().view(torch.uint8).view(len(rows), groups, -1))
    return Packed(
        torch.cat(pieces, dim=2).flatten(1),
        _biases([each.scales for each in codes], biases),
        outputs=len(numbers),
        columns=first.columns,
        bits=first.bits,
        has_floors=is_floored,
        has_wide_scales=is_wide,
    )


class NativeDecoder:
    """The packed weights of a decoder, and the call.

    Args:
        head: from the last hidden states to logits.
        scale: of the scores.
        turned: how many numbers of a head are turned.
    """

    def __init__(
        self,
        layers: Sequence[LayerWeights],
        *,
        last_norm: Tensor,
        head: Packed,
        num_heads: int,
        num_kv_heads: int,
        head_dim: int,
        turned: int,
        eps: float,
        scale: float,
    ) -> None:
        found = kernels(PART)
        assert found is not None, why_not(PART)
        assert head_dim % LANES == 0, head_dim
        assert head_dim <= MOST_HEAD, head_dim
        self._function = found.library.decoder_forward
        self._function.restype = ctypes.c_long
        self.width = last_norm.numel()
        self.vocab_size = head.outputs
        self._logits_width = head.tiles.size(0) * LANES
        layers, head = _in_one_piece(layers, head, found)
        self._kept = (layers, last_norm, head)
        self._layers = (_Layer * len(layers))(*(_layer(each) for each in layers))
        self._plan = _Plan(
            ctypes.cast(self._layers, ctypes.c_void_p),
            last_norm.data_ptr(),
            _matrix(head),
            len(layers),
            self.width,
            layers[0].gate.outputs,
            num_heads,
            num_kv_heads,
            head_dim,
            turned,
            0,
            eps,
            scale,
        )
        self._room = torch.empty(0, dtype=torch.uint8)
        self._pages: Pages | None = None
        self._lock = Lock()  # of the room and the pages: a call lets other threads go on

    @property
    def nbytes(self) -> int:
        """Of the weights."""
        layers, _, head = self._kept
        return head.nbytes + sum(each.nbytes for layer in layers for each in layer.maps)

    def __call__(
        self,
        embedded: Tensor,
        pages: Pages,
        *,
        positions: Tensor,
        sequences: Tensor,
        tables: Tensor,
        wanted: Tensor,
    ) -> Tensor:
        """Put the keys and values of all rows into their pages; logits (W, V), float32, of those that are `wanted`.

        Args:
            embedded: (R, D) float32, contiguous as the others; rows of a sequence stand together, in rising order.
            pages: keys (L, P, N, H, 32) and values (L, P, N, 32, H); int8 ones with scales (L, P, N, 32) of each.
            positions: (R,) int32. sequences: (R,) int32, which row of `tables` is the row's.
            tables: (B, M) int32, the pages of each sequence. wanted: (W,) int32 rows.
        """
        logits = torch.empty(len(wanted), self._logits_width)
        rows = [
            ctypes.byref(self._plan),
            *map(_pointer, (embedded, positions, sequences, tables)),
            ctypes.c_long(tables.size(1)),
            ctypes.c_long(len(embedded)),
            _pointer(wanted),
            ctypes.c_long(len(wanted)),
            _pointer(logits),
            ctypes.c_long(self._logits_width),
        ]
        threads = ctypes.c_long(torch.get_num_threads())
        with self._lock:
            self._use(pages)
            needed = int(self._function(*rows, None, threads))
            if needed > self._room.nbytes:
                self._room = torch.empty(needed, dtype=torch.uint8)
            self._function(*rows, _pointer(self._room), threads)
        return logits[:, : self.vocab_size]

    def _use(self, pages: Pages) -> None:
        if self._pages is not None and all(mine is its for mine, its in zip(self._pages, pages, strict=True)):
            return
        self._pages = pages
        keys, values, key_scales, value_scales = pages
        self._plan.cache = _CACHES[keys.dtype]
        for index, layer in enumerate(self._layers):
            layer.keys, layer.values = keys[index].data_ptr(), values[index].data_ptr()
            layer.key_scales = None if key_scales is None else key_scales[index].data_ptr()
            layer.value_scales = None if value_scales is None else value_scales[index].data_ptr()


def _in_one_piece(layers: Sequence[LayerWeights], head: Packed, native: Kernels) -> tuple[list[LayerWeights], Packed]:
    """The same with all tiles side by side in huge pages, in the order in which they are read."""
    sizes = [-(-each.tiles.nbytes // 64) * 64 for layer in layers for each in layer.maps]
    block = torch.empty(sum(sizes) + head.tiles.nbytes + _HUGE, dtype=torch.uint8)
    native("prefer_huge_pages", block, block.nbytes)
    end = -block.data_ptr() % _HUGE

    def moved(packed: Packed) -> Packed:
        nonlocal end
        begin, end = end, end + packed.tiles.nbytes
        room = block[begin:end].view(packed.tiles.shape).copy_(packed.tiles)
        end = -(-end // 64) * 64
        return replace(packed, tiles=room)

    made = []
    for layer in layers:
        qkv, out, gate, up, down = map(moved, layer.maps)
        made.append(replace(layer, qkv=qkv, out=out, gate=gate, up=up, down=down))
    return made, moved(head)


_HUGE = 1 << 21


class _Matrix(ctypes.Structure):
    _fields_ = [
        ("tiles", ctypes.c_void_p),
        ("bias", ctypes.c_void_p),
        ("outputs", ctypes.c_long),
        ("columns", ctypes.c_long),
        ("bits", ctypes.c_long),
        ("has_floors", ctypes.c_long),
        ("wide_scales", ctypes.c_long),
        ("tile_bytes", ctypes.c_long),
    ]


class _Layer(ctypes.Structure):
    _fields_ = [
        *((name, _Matrix) for name in ("qkv", "out", "gate", "up", "down")),
        *((name, ctypes.c_void_p) for name in ("attention_norm", "mlp_norm", "q_norm", "k_norm", "turns")),
        *((name, ctypes.c_void_p) for name in ("keys", "values", "key_scales", "value_scales")),
        ("window", ctypes.c_long),
    ]


class _Plan(ctypes.Structure):
    _fields_ = [
        ("layers", ctypes.c_void_p),
        ("last_norm", ctypes.c_void_p),
        ("head", _Matrix),
        *(
            (name, ctypes.c_long)
            for name in ("num_layers", "width", "inner", "heads", "kv_heads", "head_dim", "turned", "cache")
        ),
        ("eps", ctypes.c_double),
        ("scale", ctypes.c_double),
    ]


def _matrix(packed: Packed) -> _Matrix:
    return _Matrix(
        packed.tiles.data_ptr(),
        None if packed.bias is None else packed.bias.data_ptr(),
        packed.outputs,
        packed.columns,
        packed.bits,
        packed.has_floors,
        packed.has_wide_scales,
        packed.tiles.size(1),
    )


def _layer(weights: LayerWeights) -> _Layer:
    norms = (weights.attention_norm, weights.mlp_norm, weights.q_norm, weights.k_norm, weights.turns)
    return _Layer(
        *map(_matrix, (weights.qkv, weights.out, weights.gate, weights.up, weights.down)),
        *(None if each is None else each.data_ptr() for each in norms),
        None,
        None,
        None,
        None,
        weights.window or 0,
    )


def _pointer(tensor: Tensor) -> ctypes.c_void_p:
    assert tensor.is_contiguous()
    return ctypes.c_void_p(tensor.data_ptr())


def _biases(weights: Sequence[Tensor], biases: Sequence[Tensor | None]) -> Tensor | None:
    if all(bias is None for bias in biases):
        return None
    told = [
        torch.zeros(len(weight)) if bias is None else bias.detach().float()
        for weight, bias in zip(weights, biases, strict=True)
    ]
    whole = torch.cat(told)
    return F.pad(whole, (0, -len(whole) % LANES)).contiguous()


def _padded(table: Tensor, rows: int, columns: int) -> Tensor:
    """(M, K) with zeros below and on the right, up to multiples."""
    return F.pad(table, (0, -table.size(1) % columns, 0, -table.size(0) % rows)).contiguous()


def _spread(codes: Codes, of_groups: Tensor, groups: int) -> Tensor:
    """(M, groups) of groups of 32, from a table of longer ones."""
    if codes.group <= GROUP:
        return of_groups
    return of_groups.repeat_interleave(-(-codes.group // GROUP), dim=1)[:, :groups]


def _floors(codes: Codes) -> Tensor:
    if codes.floors is not None:
        return codes.floors
    zeros = float(1 << (codes.bits - 1)) if codes.zeros is None else codes.zeros.float()
    return -codes.scales.float() * zeros
