"""Which positions may look at which: causal, padding, documents of a packed row."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from wenlu.kernels.attention import Stretches


@dataclass(frozen=True)
class Mask:
    """What queries may see of keys.

    Attributes:
        bias: (B or 1, 1 or N, T, S) added to the scores: 0 where a query may look, -inf where not; None: no
            restriction beyond `is_causal` and `stretches`.
        is_causal: queries and keys are the same T positions, and none looks ahead; a `bias` says so too.
        stretches: what `bias` says, where each query sees one stretch of keys; None where one may not. Of padded
            queries, whom nobody reads, it may say less: that they see themselves.
    """

    bias: Tensor | None = None
    is_causal: bool = False
    stretches: Stretches | None = None


CAUSAL = Mask(is_causal=True)
EVERYTHING = Mask()


def causal_mask(length: int, *, attention_mask: Tensor | None, segments: Tensor | None, dtype: torch.dtype) -> Mask:
    """Each position sees itself and what came before it in its document; no tensor where none is needed.

    Padding on the right needs none: it comes after everything real. A padded query sees itself, so that no
    row of the mask is empty. An `attention_mask` (B, T, T) says in place of the order who sees whom.
    """
    if attention_mask is not None and attention_mask.ndim == 3:
        return Mask(as_bias(_told(attention_mask, segments)[:, None], dtype))
    if segments is None and (attention_mask is None or is_right_padded(attention_mask)):
        return CAUSAL
    known = attention_mask if attention_mask is not None else segments
    assert known is not None, "one of the two is given"
    allowed = torch.ones(length, length, dtype=torch.bool, device=known.device).tril()[None]
    if segments is not None:
        allowed = allowed & (segments[:, :, None] == segments[:, None, :])
    if attention_mask is not None:
        itself = torch.eye(length, dtype=torch.bool, device=known.device)
        allowed = allowed & (attention_mask.bool()[:, None, :] | itself)
    stretches = (
        document_stretches(segments, is_causal=True) if segments is not None and attention_mask is None else None
    )
    return Mask(as_bias(allowed[:, None], dtype), is_causal=True, stretches=stretches)


def bidirectional_mask(
    x: Tensor, *, attention_mask: Tensor | None, segments: Tensor | None, window: int | None = None
) -> Mask:
    """Each position of `x` (B, T, D) sees both sides in its document; no tensor where all see all.

    With a `window`, only positions at most so far away. A padded query sees itself, so that no row of the mask
    is empty. An `attention_mask` (B, T, T) says itself who sees whom. Of packed rows that are read without gradients
    the stretches say all: a tensor would grow with the square of the row.
    """
    length = x.size(1)
    is_padded = attention_mask is not None and not is_all_real(attention_mask)
    is_local = window is not None and window < length - 1
    if segments is None and not is_padded and not is_local:
        return EVERYTHING
    if segments is not None and attention_mask is None and not torch.is_grad_enabled():
        told = document_stretches(segments, is_causal=False)
        if told is not None:
            return Mask(stretches=told if window is None else told.around(window))
    allowed = torch.ones(1, length, length, dtype=torch.bool, device=x.device)
    if attention_mask is not None and attention_mask.ndim == 3:
        allowed = _told(attention_mask, segments)
    else:
        if segments is not None:
            allowed = allowed & (segments[:, :, None] == segments[:, None, :])
        if attention_mask is not None:
            itself = torch.eye(length, dtype=torch.bool, device=x.device)
            allowed = allowed & (attention_mask.bool()[:, None, :] | itself)
    if window is not None:
        places = torch.arange(length, device=x.device)
        allowed = allowed & ((places[:, None] - places[None, :]).abs() <= window)
    stretches = None
    if segments is not None and attention_mask is None and window is None:
        stretches = document_stretches(segments, is_causal=False)
    if segments is None and window is None and attention_mask is not None and attention_mask.ndim == 2:
        stretches = padded_stretches(attention_mask) if is_right_padded(attention_mask) else None
    return Mask(as_bias(allowed[:, None], x.dtype), stretches=stretches)


def key_mask(real: Tensor | None, dtype: torch.dtype) -> Mask:
    """Every query sees the keys that are `real` (B, S); no tensor where all are."""
    return EVERYTHING if real is None else Mask(as_bias(real[:, None, None], dtype))


def with_bias(mask: Mask, learned: Tensor) -> Mask:
    """`mask` with `learned` (B or 1, N, T, S) added to the scores of what a query sees."""
    if mask.bias is not None:
        return Mask(learned + mask.bias, is_causal=mask.is_causal)
    assert mask.stretches is None, "stretches alone are not added to"
    if not mask.is_causal:
        return Mask(learned)
    past = torch.ones(learned.shape[-2:], dtype=torch.bool, device=learned.device).tril()
    return Mask(learned + as_bias(past, learned.dtype), is_causal=True)


def _told(attention_mask: Tensor, segments: Tensor | None) -> Tensor:
    """(B, T, T) bool: the query in the row sees the key in the column, or itself, in its document."""
    itself = torch.eye(attention_mask.size(1), dtype=torch.bool, device=attention_mask.device)
    allowed = attention_mask.bool() | itself
    return allowed if segments is None else allowed & (segments[:, :, None] == segments[:, None, :])


def as_bias(allowed: Tensor, dtype: torch.dtype) -> Tensor:
    """0 where `allowed` is true, -inf elsewhere."""
    return torch.zeros(allowed.shape, dtype=dtype, device=allowed.device).masked_fill_(~allowed, float("-inf"))


def count_positions(input_ids: Tensor, *, attention_mask: Tensor | None, segments: Tensor | None) -> Tensor:
    """(B or 1, T) positions that count the real tokens of the row, from 0 again at each document.

    Of an `attention_mask` (B, T, T) all are real.
    """
    length = input_ids.size(1)
    if attention_mask is not None and attention_mask.ndim == 3:
        attention_mask = None
    if segments is None and (attention_mask is None or is_right_padded(attention_mask)):
        return torch.arange(length, device=input_ids.device)[None]
    real = torch.ones_like(input_ids) if attention_mask is None else attention_mask.long()
    before = real.cumsum(1) - real  # real tokens to the left
    if segments is None:
        return before
    return before - (before * document_starts(segments)).cummax(1).values


def count_lengths(input_ids: Tensor, *, attention_mask: Tensor | None, segments: Tensor | None) -> Tensor:
    """(B or 1, T or 1): how many real tokens the row (the document of a packed row) holds, said at each position."""
    if attention_mask is not None and attention_mask.ndim == 3:
        attention_mask = None
    if segments is None and attention_mask is None:
        return torch.tensor([[input_ids.size(1)]], device=input_ids.device)
    real = torch.ones_like(input_ids) if attention_mask is None else attention_mask.long()
    if segments is None:
        return real.sum(1, keepdim=True)
    document = document_starts(segments).cumsum(1)
    counts = torch.zeros(len(real), real.size(1) + 1, dtype=torch.int64, device=real.device)
    return counts.scatter_add(1, document, real).gather(1, document)


def document_stretches(segments: Tensor, *, is_causal: bool) -> Stretches | None:
    """Of packed rows (B, T): a position sees its document, or with `is_causal` the part up to itself.

    None where a document goes on behind another one.
    """
    if not bool((segments[:, 1:] >= segments[:, :-1]).all()):
        return None
    places = torch.arange(segments.size(1), device=segments.device).expand(segments.shape)
    starts = document_starts(segments)
    first = (places * starts).cummax(1).values
    if is_causal:
        end = places + 1
    else:
        next_start = torch.where(starts, places, segments.size(1)).roll(-1, 1)  # (B, T), at each position's right
        next_start[:, -1] = segments.size(1)
        end = next_start.flip(1).cummin(1).values.flip(1)
    return Stretches(first.to(torch.int32).contiguous(), end.to(torch.int32).contiguous())


def padded_stretches(attention_mask: Tensor) -> Stretches:
    """Of rows (B, T) padded on the right: a real position sees all real ones, a padded one itself."""
    places = torch.arange(attention_mask.size(1), device=attention_mask.device)
    is_real = attention_mask.bool()
    first = torch.where(is_real, 0, places)
    end = torch.where(is_real, is_real.sum(1, keepdim=True), places + 1)
    return Stretches(first.to(torch.int32).contiguous(), end.to(torch.int32).contiguous())


def document_starts(segments: Tensor) -> Tensor:
    """(B, T) bool: the first position of each document of a packed row."""
    starts = torch.ones_like(segments, dtype=torch.bool)
    starts[:, 1:] = segments[:, 1:] != segments[:, :-1]
    return starts


def is_all_real(attention_mask: Tensor) -> bool:
    """Whether nothing is padded; no, where a graph is traced, which must hold for every mask."""
    return not torch.compiler.is_exporting() and bool(attention_mask.all())


def is_right_padded(attention_mask: Tensor) -> bool:
    """Whether no real token follows padding; no, where a graph is traced, which must hold for every mask."""
    return not torch.compiler.is_exporting() and bool((attention_mask[:, 1:] <= attention_mask[:, :-1]).all())
