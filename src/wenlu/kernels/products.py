"""Gradients of weights: sums over rows of outer products, in fp32 whatever the inputs are."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from wenlu.kernels.native import Kernels, kernels

MULTIPLE = 32
"""Of both sizes of the result, for the native kernel."""


@dataclass(frozen=True)
class Panels:
    """(N, K) rows as the native kernel reads them; made once, they serve several products."""

    rows: Tensor
    packed: Tensor | None

    @classmethod
    def of(cls, rows: Tensor) -> Panels:
        native = _kernel(rows)
        if native is None:
            return cls(rows, None)
        packed = rows.new_empty(-(-rows.size(0) // MULTIPLE) * MULTIPLE, rows.size(1))
        native("pack_panels", rows, packed, *rows.shape)
        return cls(rows, packed)


def outer_products(a: Tensor, b: Tensor | Panels) -> Tensor:
    """a.T @ b, (M, K) of (N, M) and (N, K), rounded once to their dtype."""
    native = _kernel(a, _rows(b))
    if native is None:
        return a.T @ _rows(b)
    (count, rows), columns = a.shape, _rows(b).size(1)
    out = a.new_empty(rows, columns)
    if columns <= rows or isinstance(b, Panels):  # the kernel holds rows of `columns` numbers in its cache
        native("outer_products", a, _packed(b), None, out, count, rows, columns, False)
    else:
        native("outer_products", b, _packed(a), None, out, count, columns, rows, True)
    return out


def add_outer_products(sums: Tensor, a: Tensor, b: Tensor) -> None:
    """Add a.T @ b to `sums` (M, K), which is fp32 (fp64 for fp64 inputs)."""
    native = _kernel(a, b)
    if native is None:
        sums += a.T @ b
    else:
        native("outer_products", a, _packed(b), sums, None, *a.shape, b.size(1), False)


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
    native = _kernel(x) if not x.size(0) % MULTIPLE else None
    if native is None:
        return x.T.contiguous()
    out = x.new_empty(x.size(1), x.size(0))
    native("transpose_matrix", x, out, *x.shape)
    return out


def _kernel(*matrices: Tensor) -> Kernels | None:
    fits = all(not matrix.size(1) % MULTIPLE and matrix.is_contiguous() for matrix in matrices)
    return kernels("amx", *matrices) if fits else None


def _rows(b: Tensor | Panels) -> Tensor:
    return b.rows if isinstance(b, Panels) else b


def _packed(b: Tensor | Panels) -> Tensor:
    packed = (b if isinstance(b, Panels) else Panels.of(b)).packed
    assert packed is not None, "whoever has a kernel for the product has one for the panels"
    return packed
