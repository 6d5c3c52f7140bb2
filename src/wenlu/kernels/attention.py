"""Attention for training on a CPU, where torch's kernel is far from the limit.

Where a query sees one stretch of keys, the kernels of `native/attention.cpp` with AMX, and those of
`native/vector_attention.cpp` with AVX-512, which also drop weights; else batched products over blocks of queries. Those
round bf16 scores before the softmax, as any attention written with plain operators does; torch's kernel and the native
ones keep them in fp32. Calls without gradients go to torch's, but where stretches alone say what is seen.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from dataclasses import dataclass
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor
from torch.autograd.function import once_differentiable

from wenlu.kernels.chance import drawn
from wenlu.kernels.native import EITHER, Kernels, kernels

BLOCK = 128
"""Queries at a time: with causal attention, a block computes nothing of the keys behind it."""

KEPT = 2**25
"""Attention weights that one call may keep for its backward pass; beyond, torch's kernel recomputes them."""

_watching: ContextVar[list[Tensor] | None] = ContextVar("watching", default=None)

HEAD_SIZES, VECTOR_SIZES = range(32, 257, 32), range(32, 129, 32)
"""Of the native kernels with AMX, and of those without."""


@dataclass(frozen=True)
class Stretches:
    """What a query sees, where that is one stretch of keys: from `first` up to but without `end`, (B, T) int32 each."""

    first: Tensor
    end: Tensor

    def within(self, window: int) -> Stretches:
        """None of the keys that are `window` or more before the query itself, which is the last that it sees."""
        return Stretches(torch.maximum(self.first, self.end - window), self.end)

    def around(self, window: int) -> Stretches:
        """None of the keys that are further than `window` from the query itself, on either side."""
        places = torch.arange(self.first.size(1), dtype=torch.int32, device=self.first.device)
        return Stretches(torch.maximum(self.first, places - window), torch.minimum(self.end, places + window + 1))

    def as_bias(self, num_keys: int, dtype: torch.dtype) -> Tensor:
        """(B, 1, T, S): 0 where a query may look, -inf elsewhere."""
        keys = torch.arange(num_keys, device=self.first.device)
        allowed = (keys >= self.first[..., None]) & (keys < self.end[..., None])
        return torch.zeros(allowed.shape, dtype=dtype, device=keys.device).masked_fill_(~allowed, float("-inf"))[
            :, None
        ]


def reads_stretches(like: Tensor, head_size: int) -> bool:
    """Whether a kernel of ours mixes heads of the dtype and device of `like` by stretches alone, without gradients."""
    if head_size in HEAD_SIZES and kernels("amx", like) is not None:
        return True
    return head_size in VECTOR_SIZES and kernels("avx512", like, of=EITHER) is not None


def attention(
    q: Tensor,
    k: Tensor,
    v: Tensor,
    *,
    bias: Tensor | None = None,
    is_causal: bool = False,
    scale: float | None = None,
    softcap: float | None = None,
    stretches: Stretches | None = None,
    dropout: float = 0.0,
) -> Tensor:
    """Mix values by the softmax of scaled scores (Vaswani et al. 2017, arXiv:1706.03762).

    Args:
        q: (B, N, T, H).
        k: (B, K, S, H); K divides N, and each key head serves N / K query heads in a row.
        v: (B, K, S, H).
        bias: added to the scores, broadcastable to (B, N, T, S): -inf where a query may not look (no row all -inf),
            and learned numbers, which get their gradient.
        is_causal: T = S and no query looks ahead; a `bias` says so too.
        scale: of the scores; 1 / √H unless given.
        softcap: scores s become `softcap` · tanh(s / `softcap`) before the bias (Gemma 2, arXiv:2408.00118); by
            plain operators, for which all scores exist at once.
        stretches: what `bias` says, where it says no more than that each query sees one stretch of keys; without a
            `bias`, all that is said.
        dropout: share of the weights dropped; not together with a soft cap.

    Returns:
        (B, N, T, H), stored as (B, T, N, H). Can be differentiated once.
    """
    watching = _watching.get()
    if watching is not None:
        watching.append(
            weights(q, k, bias=_told(q, k, bias, stretches), is_causal=is_causal, scale=scale, softcap=softcap)
        )
    if softcap is not None:
        return _capped(q, k, v, bias, is_causal, scale, softcap)
    learns = torch.is_grad_enabled() and any(each is not None and each.requires_grad for each in (q, k, v, bias))
    told_by_stretches = stretches is not None and bias is None and not is_causal
    if (learns and (bias is None or stretches is not None)) or told_by_stretches:
        tiles = kernels("amx", q, k, v) if not dropout and q.size(3) in HEAD_SIZES else None
        fits = q.size(1) == k.size(1) and q.size(3) in VECTOR_SIZES
        vectors = kernels("avx512", q, k, v, of=EITHER) if tiles is None and fits else None
        if tiles is not None or vectors is not None:
            seen = stretches or _all_seen(q, k, is_causal=is_causal)
            if tiles is not None:
                mixed: Tensor = _NativeAttention.apply(q, k, v, seen, scale, tiles)  # type: ignore[no-untyped-call]
            else:
                mixed = _VectorAttention.apply(q, k, v, seen, scale, dropout, vectors)  # type: ignore[no-untyped-call]
            return mixed
    if told_by_stretches:
        bias = _told(q, k, bias, stretches)
    count = q.size(0) * q.size(1) * q.size(2) * k.size(2)
    if not learns or dropout or q.device.type != "cpu" or count > KEPT:
        return reference(q, k, v, bias=bias, is_causal=is_causal, scale=scale, dropout=dropout)
    if bias is not None:
        bias = bias.expand(*bias.shape[:-2], q.size(2), k.size(2))
    out: Tensor = _BlockAttention.apply(q, k, v, bias, is_causal, scale)  # type: ignore[no-untyped-call]
    return out


def reference(
    q: Tensor,
    k: Tensor,
    v: Tensor,
    *,
    bias: Tensor | None = None,
    is_causal: bool = False,
    scale: float | None = None,
    dropout: float = 0.0,
) -> Tensor:
    """The same, without a soft cap, by torch's own operator."""
    return F.scaled_dot_product_attention(
        q,
        k,
        v,
        attn_mask=bias,
        is_causal=is_causal and bias is None,
        scale=scale,
        dropout_p=dropout,
        enable_gqa=q.size(1) != k.size(1),
    )


def weights(
    q: Tensor, k: Tensor, *, bias: Tensor | None, is_causal: bool, scale: float | None, softcap: float | None
) -> Tensor:
    """(B, N, T, S) by which `attention` of the same arguments mixes values, in at least float32."""
    wide = torch.promote_types(q.dtype, torch.float32)
    keys = k.repeat_interleave(q.size(1) // k.size(1), dim=1).to(wide)
    scores = q.to(wide) @ keys.transpose(2, 3) * (q.size(3) ** -0.5 if scale is None else scale)
    if softcap is not None:
        scores = softcap * torch.tanh(scores / softcap)
    if bias is not None:
        scores = scores + bias
    elif is_causal:
        scores = scores + _triangle(q.size(2), scores)
    return torch.softmax(scores, dim=-1)


@contextmanager
def observed() -> Iterator[list[Tensor]]:
    """Within, the weights of every call of `attention` in this thread, in order."""
    seen: list[Tensor] = []
    token = _watching.set(seen)
    try:
        yield seen
    finally:
        _watching.reset(token)


def _told(q: Tensor, k: Tensor, bias: Tensor | None, stretches: Stretches | None) -> Tensor | None:
    """What is said of who sees whom, as a bias."""
    return stretches.as_bias(k.size(2), q.dtype) if bias is None and stretches is not None else bias


def _capped(
    q: Tensor, k: Tensor, v: Tensor, bias: Tensor | None, is_causal: bool, scale: float | None, softcap: float
) -> Tensor:
    B, N, T, H = q.shape
    K, S = k.shape[1:3]
    keys, values = k.reshape(B * K, S, H), v.reshape(B * K, S, H)
    scores = _product(_heads(q, K), keys.transpose(1, 2), H**-0.5 if scale is None else scale).view(B, N, T, S)
    scores = softcap * torch.tanh(scores / softcap)
    if bias is not None:
        scores = scores + bias
    elif is_causal:
        scores = scores + _triangle(T, q)
    mixed = torch.bmm(torch.softmax(scores, dim=-1).view(B * K, -1, S), values)  # (B K, N / K · T, H)
    return mixed.view(B, N, T, H).transpose(1, 2).contiguous().transpose(1, 2)


def _all_seen(q: Tensor, k: Tensor, *, is_causal: bool) -> Stretches:
    """Every key, or with `is_causal` those up to the query's own."""
    B, T = q.size(0), q.size(2)
    first = torch.zeros(B, T, dtype=torch.int32)
    ends = torch.arange(1, T + 1, dtype=torch.int32) if is_causal else torch.full((T,), k.size(2), dtype=torch.int32)
    return Stretches(first, ends.expand(B, T).contiguous())


class _NativeAttention(torch.autograd.Function):
    @staticmethod
    def forward(
        ctx: Any, q: Tensor, k: Tensor, v: Tensor, seen: Stretches, scale: float | None, native: Kernels
    ) -> Tensor:
        B, N, T, H = q.shape
        K, S = k.shape[1:3]
        q, k, v = (x if x.stride(3) == 1 else x.contiguous() for x in (q, k, v))
        out, sums = q.new_empty(B, T, N, H), q.new_empty(B, N, T, dtype=torch.float32)
        sizes = (_steps(q), _steps(k), _steps(v), B, N, K, T, S, H, float(H**-0.5 if scale is None else scale))
        native("attention_forward", q, k, v, seen.first, seen.end, out, sums, *sizes)
        ctx.save_for_backward(q, k, v, seen.first, seen.end, out, sums)
        ctx.sizes, ctx.native = sizes, native
        return out.transpose(1, 2)

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, grad: Tensor) -> tuple[Tensor, Tensor, Tensor, None, None, None]:
        q, k = ctx.saved_tensors[:2]
        grads = [x.new_empty(x.size(0), x.size(2), x.size(1), x.size(3)) for x in (q, k, k)]
        ctx.native("attention_backward", *ctx.saved_tensors, grad.transpose(1, 2).contiguous(), *grads, *ctx.sizes)
        q_grad, k_grad, v_grad = (x.transpose(1, 2) for x in grads)
        return q_grad, k_grad, v_grad, None, None, None


class _VectorAttention(torch.autograd.Function):
    @staticmethod
    def forward(
        ctx: Any, q: Tensor, k: Tensor, v: Tensor, seen: Stretches, scale: float | None, dropout: float, native: Kernels
    ) -> Tensor:
        B, N, T, H = q.shape
        S = k.size(2)
        q, k, v = (x if x.stride(3) == 1 else x.contiguous() for x in (q, k, v))
        out, sums = q.new_empty(B, T, N, H), q.new_empty(B, N, T, dtype=torch.float32)
        scale = float(H**-0.5 if scale is None else scale)
        ctx.sizes = (_steps(q), _steps(k), _steps(v), B, N, T, S, H, scale, *drawn(dropout))
        ctx.native, ctx.kind = native, EITHER[q.dtype]
        native(f"vector_attention_forward_{ctx.kind}", q, k, v, seen.first, seen.end, out, sums, *ctx.sizes)
        ctx.save_for_backward(q, k, v, seen.first, seen.end, out, sums)
        return out.transpose(1, 2)

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, grad: Tensor) -> tuple[Tensor | None, ...]:
        q, k = ctx.saved_tensors[:2]
        grads = [x.new_empty(x.size(0), x.size(2), x.size(1), x.size(3)) for x in (q, k, k)]
        slopes = grad.transpose(1, 2).contiguous()
        ctx.native(f"vector_attention_backward_{ctx.kind}", *ctx.saved_tensors, slopes, *grads, *ctx.sizes)
        q_grad, k_grad, v_grad = (x.transpose(1, 2) for x in grads)
        return q_grad, k_grad, v_grad, None, None, None, None


def _steps(x: Tensor) -> tuple[int, int, int]:
    """Numbers from one row, position and head of (B, N, T, H) to the next."""
    return x.stride(0), x.stride(2), x.stride(1)


class _BlockAttention(torch.autograd.Function):
    @staticmethod
    def forward(
        ctx: Any, q: Tensor, k: Tensor, v: Tensor, bias: Tensor | None, is_causal: bool, scale: float | None
    ) -> Tensor:
        B, N, T, H = q.shape
        K, S = k.shape[1:3]
        keys, values = k.reshape(B * K, S, H), v.reshape(B * K, S, H)
        scale = H**-0.5 if scale is None else scale
        out = q.new_empty(B, T, N, H).transpose(1, 2)
        blocks: list[Tensor] = []
        weights: list[Tensor] = []
        for start in range(0, T, BLOCK):
            end = min(start + BLOCK, T)
            seen = end if is_causal else S
            block = _heads(q[:, :, start:end], K)  # (B K, rows, H)
            scores = _product(block, keys[:, :seen].transpose(1, 2), scale).view(B, N, end - start, seen)
            if bias is not None:
                scores += bias[..., start:end, :seen]
            elif is_causal:
                scores[..., start:] += _triangle(end - start, q)
            weight = torch.softmax(scores, dim=-1).view(B * K, -1, seen)
            out[:, :, start:end] = torch.bmm(weight, values[:, :seen]).view(B, N, end - start, H)
            blocks.append(block)
            weights.append(weight)
        ctx.save_for_backward(keys, values, *blocks, *weights)
        ctx.shape, ctx.scale = q.shape, scale
        ctx.bias_shape = None if bias is None else bias.shape
        return out

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, grad: Tensor) -> tuple[Tensor, Tensor, Tensor, Tensor | None, None, None]:
        B, N, T, H = ctx.shape
        keys, values, *saved = ctx.saved_tensors
        K = len(keys) // B
        blocks, weights = saved[: len(saved) // 2], saved[len(saved) // 2 :]
        q_grad = grad.new_empty(B, T, N, H).transpose(1, 2)
        k_grad, v_grad = torch.zeros_like(keys), torch.zeros_like(values)
        bias_grad = grad.new_zeros(ctx.bias_shape) if ctx.needs_input_grad[3] else None
        for i, (block, weight) in enumerate(zip(blocks, weights, strict=True)):
            start, seen = i * BLOCK, weight.size(-1)
            end = min(start + BLOCK, T)
            part = _heads(grad[:, :, start:end], K)
            v_grad[:, :seen] += torch.bmm(weight.transpose(1, 2), part)
            weight_grad = torch.bmm(part, values[:, :seen].transpose(1, 2))
            score_grad = torch._softmax_backward_data(weight_grad, weight, -1, weight.dtype)
            q_grad[:, :, start:end] = _product(score_grad, keys[:, :seen], ctx.scale).view(B, N, end - start, H)
            k_grad[:, :seen] += _product(score_grad.transpose(1, 2), block, ctx.scale)
            if bias_grad is not None:
                part_of_bias = bias_grad[..., start:end, :seen]
                part_of_bias += score_grad.view(B, N, end - start, seen).sum_to_size(part_of_bias.shape)
        return q_grad, k_grad.view(B, K, -1, H), v_grad.view(B, K, -1, H), bias_grad, None, None


def _heads(x: Tensor, kv_heads: int) -> Tensor:
    """(B, N, T, H) as (B K, N / K · T, H): the rows that read one key head, below each other."""
    return x.reshape(x.size(0) * kv_heads, -1, x.size(3))


def _product(a: Tensor, b: Tensor, scale: float) -> Tensor:
    """Batched product, scaled before it is rounded."""
    return torch.baddbmm(a.new_empty(1, 1, 1), a, b, beta=0, alpha=scale)


def _triangle(length: int, like: Tensor) -> Tensor:
    """(length, length), -inf above the diagonal."""
    return like.new_full((length, length), float("-inf")).triu(1)
