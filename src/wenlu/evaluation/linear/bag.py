"""The mean of learnt vectors of the n-grams of a text, and a linear layer over it, as FastText classifies.

Joulin et al. 2017, arXiv:1607.01759. No layer between is bent, so vectors and layer are one product of low rank: what
is kept is a weight for each n-gram and output, as of any linear model.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from wenlu.evaluation.linear.groups import Sparse
from wenlu.evaluation.linear.weights import Weights

WIDTH = 32
BATCH = 32
RATE = 0.01
"""Of Adam at the start; it falls to nothing in a straight line."""
Cost = Callable[[Tensor, Tensor], Tensor]


def fit_labels(rows: Sparse, holds: np.ndarray[Any, Any], epochs: float, several: bool) -> Weights:
    """Of (n, L) labels, by cross-entropy."""
    cost: Cost = F.binary_cross_entropy_with_logits if several else F.cross_entropy
    return _fitted(rows, holds, epochs, cost)


def fit_grades(rows: Sparse, shares: np.ndarray[Any, Any], epochs: float, several: bool) -> Weights:  # noqa: ARG001
    """Of (n, T) shares of scales, by squared error."""
    return _fitted(rows, shares, epochs, F.mse_loss)


def _fitted(rows: Sparse, targets: np.ndarray[Any, Any], epochs: float, cost: Cost) -> Weights:
    wanted = torch.from_numpy(targets.astype(np.float32))
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        vectors = nn.EmbeddingBag(max(1, rows.shape[1]), WIDTH, mode="mean", sparse=True)
        nn.init.uniform_(vectors.weight, -1 / WIDTH, 1 / WIDTH)
        layer = nn.Linear(WIDTH, wanted.shape[1])
        optimizers = (torch.optim.SparseAdam(vectors.parameters(), RATE), torch.optim.Adam(layer.parameters(), RATE))
        steps = int(epochs) * -(-rows.shape[0] // BATCH)
        step = 0
        for _ in range(int(epochs)):
            for places in torch.split(torch.randperm(rows.shape[0]), BATCH):
                loss = cost(layer(vectors(*_bags(rows, places.numpy()))), wanted[places])
                for optimizer in optimizers:
                    optimizer.zero_grad()
                    optimizer.param_groups[0]["lr"] = RATE * (1 - step / steps)
                loss.backward()  # type: ignore[no-untyped-call]
                for optimizer in optimizers:
                    optimizer.step()  # type: ignore[no-untyped-call]
                step += 1
    with torch.no_grad():
        weights = layer.weight.double() @ vectors.weight[: rows.shape[1]].double().T
    return Weights.of(weights.numpy(), layer.bias.detach().double().numpy(), reads="mean")


def _bags(rows: Sparse, places: np.ndarray[Any, Any]) -> tuple[Tensor, Tensor]:
    """The n-grams of some texts one after the other, and where each text begins."""
    chosen = rows[places]
    return torch.from_numpy(chosen.indices.astype(np.int64)), torch.from_numpy(chosen.indptr[:-1].astype(np.int64))
