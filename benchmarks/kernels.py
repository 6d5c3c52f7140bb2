"""Each training kernel in C++ beside torch's operators, forward and backward, in milliseconds: `make bench-kernels`.

The two take turns; bfloat16, all processors, the sizes of a layer of GPT-2 124M with 8 rows of 512. Prints one JSON
object as its last line.
"""

from __future__ import annotations

import json
import statistics
import time
from collections.abc import Callable
from functools import partial

import torch
import torch.nn.functional as F
from torch import Tensor

from wenlu.kernels.activations import gelu_tanh, silu_product
from wenlu.kernels.attention import attention, reference
from wenlu.kernels.cross_entropy import linear_cross_entropy
from wenlu.kernels.cross_entropy import reference as cross_entropy
from wenlu.kernels.linear import linear
from wenlu.kernels.native import SOURCES, use_pool, why_not
from wenlu.kernels.norms import layer_norm, rms_norm

TURNS = 9
ROWS, LENGTH, WIDTH, HEADS, VOCABULARY = 8, 512, 768, 12, 8192


def drawn(*shape: int) -> Tensor:
    return torch.randn(shape).bfloat16().requires_grad_()


def cases() -> dict[str, tuple[Callable[..., Tensor], Callable[..., Tensor], list[Tensor]]]:
    x, wide = drawn(ROWS, LENGTH, WIDTH), drawn(ROWS, LENGTH, 4 * WIDTH)
    heads = [drawn(ROWS, LENGTH, HEADS, WIDTH // HEADS) for _ in range(3)]
    scale, shift = drawn(WIDTH), drawn(WIDTH)
    targets = torch.randint(VOCABULARY, (ROWS * LENGTH,))

    def causal(function: Callable[..., Tensor]) -> Callable[..., Tensor]:
        return lambda *qkv: function(*(each.transpose(1, 2) for each in qkv), is_causal=True)

    def summed(function: Callable[..., Tensor]) -> Callable[..., Tensor]:
        return lambda hidden, weight: function(hidden.flatten(0, 1), weight, targets)

    return {
        "causal attention": (causal(attention), causal(reference), heads),
        "linear 768 to 768": (linear, F.linear, [x, drawn(WIDTH, WIDTH), shift]),
        "linear 768 to 3072": (linear, F.linear, [x, drawn(4 * WIDTH, WIDTH), drawn(4 * WIDTH)]),
        "linear 3072 to 768": (linear, F.linear, [wide, drawn(WIDTH, 4 * WIDTH), shift]),
        "GELU (tanh)": (gelu_tanh, partial(F.gelu, approximate="tanh"), [wide]),
        "silu product": (silu_product, lambda gate, up: F.silu(gate) * up, [wide, drawn(ROWS, LENGTH, 4 * WIDTH)]),
        "layer norm": (
            lambda *given: layer_norm(*given, 1e-5),
            lambda x, weight, bias: F.layer_norm(x, weight.shape, weight, bias, 1e-5),
            [x, scale, shift],
        ),
        "RMS norm": (
            lambda *given: rms_norm(*given, 1e-5),
            lambda x, weight: F.rms_norm(x, weight.shape, weight, 1e-5),
            [x, scale],
        ),
        "head and cross-entropy": (summed(linear_cross_entropy), summed(cross_entropy), [x, drawn(VOCABULARY, WIDTH)]),
    }


def milliseconds(function: Callable[..., Tensor], inputs: list[Tensor]) -> float:
    begin = time.perf_counter()
    value = function(*inputs)
    torch.autograd.grad(value, inputs, torch.ones_like(value))
    return 1000 * (time.perf_counter() - begin)


def main() -> None:
    for part in SOURCES:
        if reason := why_not(part):
            print(f"{part}: torch's operators on both sides, since {reason}")
    use_pool()
    torch.manual_seed(0)
    found: dict[str, list[float]] = {}
    for name, (ours, theirs, inputs) in cases().items():
        pairs = [(milliseconds(ours, inputs), milliseconds(theirs, inputs)) for _ in range(TURNS + 2)][2:]
        found[name] = [round(statistics.median(side), 2) for side in zip(*pairs, strict=True)]
        print(f"{name:24} {found[name][0]:8.2f} ms, torch {found[name][1]:8.2f} ms")
    print(json.dumps({"unit": "ms, ours and torch", **found}))


if __name__ == "__main__":
    main()
