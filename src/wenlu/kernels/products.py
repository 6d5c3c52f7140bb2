"""Gradients of weights: sums over rows of outer products, in fp32 whatever the inputs are."""

from __future__ import annotations

import torch
from torch import Tensor

from wenlu.kernels.native import Kernels, kernels

MULTIPLE = 32
"""Of both sizes of the result, for the native kernel."""


def outer_products(a: Tensor, b: Tensor) -> Tensor:
    """a.T @ b, (M, K) of (N, M) and (N, K), rounded once to their dtype."""
    native = _kernel(a, b)
    if native is None:
        return a.T @ b
    (count, rows), columns = a.shape, b.size(1)
    out = a.new_empty(rows, columns)
    if columns <= rows:  # the kernel holds rows of `columns` numbers in its cache
        native("outer_products", a, b, None, out, _panels(b), count, rows, columns, False)
    else:
        native("outer_products", b, a, None, out, _panels(a), count, columns, rows, True)
    return out


def add_outer_products(sums: Tensor, a: Tensor, b: Tensor) -> None:
    """Add a.T @ b to `sums` (M, K), which is fp32 (fp64 for fp64 inputs)."""
    native = _kernel(a, b)
    if native is None:
        sums += a.T @ b
    else:
        native("outer_products", a, b, sums, None, _panels(b), *a.shape, b.size(1), False)


def column_sums(x: Tensor) -> Tensor:
    """(M,) sums over the rows of (N, M), in fp32 until the last rounding."""
    native = kernels("avx512", x) if x.is_contiguous() else None
    if native is None:
        return x.sum(0)
    sums = x.new_empty(x.size(1), dtype=torch.float32)
    native("column_sums", x, sums, *x.shape)
    return sums.to(x.dtype)


def transposed(x: Tensor) -> Tensor:
    """x.T, contiguous, of (N, M)."""
    native = _kernel(x, x) if not x.size(0) % MULTIPLE else None
    if native is None:
        return x.T.contiguous()
    out = x.new_empty(x.size(1), x.size(0))
    native("transpose_matrix", x, out, *x.shape)
    return out


def _kernel(a: Tensor, b: Tensor) -> Kernels | None:
    fits = not a.size(1) % MULTIPLE and not b.size(1) % MULTIPLE and a.is_contiguous() and b.is_contiguous()
    return kernels("amx", a, b) if fits else None


def _panels(b: Tensor) -> Tensor:
    """Room for `b` in the layout of the kernel."""
    return b.new_empty(-(-b.size(0) // MULTIPLE) * MULTIPLE, b.size(1))
