"""A compiled loop in the manner of nanoGPT: one file, bfloat16 autocast, `torch.compile`, fused AdamW.

Weights and the optimizer's numbers are float32. What helps on a CPU and costs nothing is taken: `q`, `k` and `v` in one
product, torch's own attention, `set_to_none`, one compiled graph for forward and loss.
"""

from __future__ import annotations

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor, nn
from turns import SHAPES, Blocks, Shape, Turns, arguments

WARM_UP, CLIP = 100, 1.0


class Layer(nn.Module):
    def __init__(self, shape: Shape) -> None:
        super().__init__()
        self.heads = shape.heads
        self.norm_1 = nn.LayerNorm(shape.width)
        self.qkv = nn.Linear(shape.width, 3 * shape.width)
        self.out = nn.Linear(shape.width, shape.width)
        self.norm_2 = nn.LayerNorm(shape.width)
        self.up = nn.Linear(shape.width, 4 * shape.width)
        self.down = nn.Linear(4 * shape.width, shape.width)

    def forward(self, x: Tensor) -> Tensor:
        B, T, D = x.shape
        q, k, v = (each.view(B, T, self.heads, -1).transpose(1, 2) for each in self.qkv(self.norm_1(x)).split(D, dim=2))
        mixed = F.scaled_dot_product_attention(q, k, v, is_causal=True)
        x = x + self.out(mixed.transpose(1, 2).contiguous().view(B, T, D))
        return x + self.down(F.gelu(self.up(self.norm_2(x)), approximate="tanh"))


class GPT(nn.Module):
    def __init__(self, shape: Shape) -> None:
        super().__init__()
        self.tokens = nn.Embedding(shape.vocabulary, shape.width)
        self.positions = nn.Embedding(shape.context, shape.width)
        self.layers = nn.ModuleList(Layer(shape) for _ in range(shape.layers))
        self.norm = nn.LayerNorm(shape.width)
        self.head = nn.Linear(shape.width, shape.vocabulary, bias=False)
        self.apply(_initialise)
        for name, weight in self.named_parameters():
            if name.endswith(("out.weight", "down.weight")):
                nn.init.normal_(weight, std=0.02 / (2 * shape.layers) ** 0.5)
        self.tokens.weight = self.head.weight

    def forward(self, ids: Tensor, targets: Tensor) -> Tensor:
        x = self.tokens(ids) + self.positions(torch.arange(ids.shape[1]))
        for layer in self.layers:
            x = layer(x)
        logits = self.head(self.norm(x))
        return F.cross_entropy(logits.view(-1, logits.size(-1)).float(), targets.reshape(-1))


def _initialise(module: nn.Module) -> None:
    if isinstance(module, nn.Linear | nn.Embedding):
        nn.init.normal_(module.weight, std=0.02)
    if isinstance(module, nn.Linear) and module.bias is not None:
        nn.init.zeros_(module.bias)


class Loop:
    """A model, its optimizer, and what a step does."""

    def __init__(self, shape: Shape, blocks: Blocks, *, lr: float = 6e-4, seed: int = 0) -> None:
        torch.manual_seed(seed)
        self.shape, self.blocks = shape, blocks
        self.plain = GPT(shape)
        self.model = torch.compile(self.plain)
        matrices = [weight for weight in self.plain.parameters() if weight.ndim >= 2]
        vectors = [weight for weight in self.plain.parameters() if weight.ndim < 2]
        groups = [{"params": matrices, "weight_decay": 0.1}, {"params": vectors, "weight_decay": 0.0}]
        self.optimizer = torch.optim.AdamW(groups, lr=lr, betas=(0.9, 0.95), fused=True)
        self.generator = np.random.default_rng(seed)

    def step(self) -> float:
        rows = torch.from_numpy(self.blocks.rows(self.generator.integers(len(self.blocks), size=self.shape.rows)))
        with torch.autocast("cpu", torch.bfloat16):
            loss = self.model(rows[:, :-1], rows[:, 1:])
        loss.backward()
        nn.utils.clip_grad_norm_(self.plain.parameters(), CLIP)
        self.optimizer.step()
        self.optimizer.zero_grad(set_to_none=True)
        return loss.item()


def main() -> None:
    given = arguments()
    shape = SHAPES[given.shape]
    Turns().run(Loop(shape, Blocks(given.tokens, shape.context)).step)


if __name__ == "__main__":
    main()
