"""How much memory a step will need, estimated before the first one, so that a run that cannot fit does not begin."""

from __future__ import annotations

from dataclasses import dataclass
from itertools import chain

import numpy as np
import torch
from torch import Tensor, nn

from wenlu.corpus.packing import Rows
from wenlu.errors import ResourceError
from wenlu.models import LanguageModel
from wenlu.progress import Progress
from wenlu.rundir.checkpoint import SHARD_BYTES
from wenlu.tasks import Draw, Task
from wenlu.training.activations import layers_recomputed
from wenlu.training.config import TrainConfig
from wenlu.training.memory import free_bytes, is_out_of_memory
from wenlu.training.optimizers import Optimizer, OptimizerConfig
from wenlu.training.validation import device_of

MARGIN = 1.25
"""Activations are counted when the forward pass ends; what comes and goes within a layer adds to them."""

_SMALL = 64
"""Side of the stand-ins for weights that the optimizer's memory is measured with."""


@dataclass(frozen=True)
class Footprint:
    """Bytes that training takes beyond the model; what is frozen takes none.

    Attributes:
        weights: float32 copies of rounded weights, and averages. row: what one more row in a forward pass keeps.
        fixed: what a forward pass keeps besides.
    """

    weights: int
    gradients: int
    optimizer: int
    row: int
    fixed: int

    def total(self, rows: int) -> int:
        """The peak with so many rows a forward pass; saving takes place when no activations are held."""
        lasting = self.weights + self.optimizer
        activations = self.gradients + round(MARGIN * (self.fixed + rows * self.row))
        return lasting + max(activations, min(2 * SHARD_BYTES, 2 * lasting))


def fitted(
    config: TrainConfig,
    optimizer: OptimizerConfig,
    model: LanguageModel,
    task: Task,
    source: Rows,
    progress: Progress,
    *,
    processes: int = 1,
) -> TrainConfig:
    """`config` with `micro_batch_tokens` chosen: as large as the settings say or, if "auto", as memory allows.

    The memory of the machine is shared by so many `processes`, each of which may hold the whole model.

    Raises:
        ResourceError: not even one row a forward pass fits.
    """
    device = device_of(model)
    free = free_bytes(device)
    if free is not None and device.type == "cpu":
        free //= processes
    rows = config.rows_per_forward
    if free is not None:
        need = footprint(config, optimizer, model, task, source, free)
        if need.total(1) > free:
            raise ResourceError(_too_large(need, free, config))
        if config.micro_batch_tokens == "auto":
            smaller = (n for n in range(rows, 0, -1) if config.rows_per_step % n == 0)
            rows = next((n for n in smaller if need.total(n) <= free), 1)
        elif need.total(rows) > free:
            progress.warn(
                f"train.micro_batch_tokens={config.micro_batch_tokens} needs about {_gb(need.total(rows))} of memory, "
                f"and {_gb(free)} are free; it is halved when memory runs out"
            )
    return config.model_copy(update={"micro_batch_tokens": rows * config.context})


def footprint(
    config: TrainConfig, optimizer: OptimizerConfig, model: LanguageModel, task: Task, source: Rows, free: int
) -> Footprint:
    """By arithmetic, and by forward passes of one and two rows; raises ResourceError where one row cannot be run."""
    trained = [w for w in model.parameters() if w.requires_grad]
    rounded = [w for w in trained if w.dtype in (torch.bfloat16, torch.float16)]
    copies = sum(4 * w.numel() for w in rounded)
    own = sum(w.nbytes for w in trained)
    kept = own - sum(w.nbytes for w in rounded) + copies
    weights = copies + (kept if config.ema is not None else 0)
    base = Footprint(weights, own + copies, _optimizer_bytes(optimizer, model), row=0, fixed=0)
    if base.total(1) > free:
        raise ResourceError(_too_large(base, free, config))
    try:
        one, two = (_activations(config, model, task, source, rows) for rows in (1, 2))
    except (RuntimeError, MemoryError) as error:
        if not is_out_of_memory(error):
            raise
        raise ResourceError(_too_large(base, free, config)) from error
    row = max(0, two - one)
    return Footprint(weights, base.gradients, base.optimizer, row, max(0, one - row))


def _activations(config: TrainConfig, model: LanguageModel, task: Task, source: Rows, rows: int) -> int:
    """Bytes that are kept for the gradients of a forward pass; the random numbers of training are not touched.

    Of layers that are computed again, one is inside itself when memory is fullest.
    """
    random = torch.get_rng_state()
    weights = {w.untyped_storage().data_ptr() for w in chain(model.parameters(), model.buffers())}
    kept: dict[int, int] = {}

    def note(tensor: Tensor) -> Tensor:
        storage = tensor.untyped_storage()
        if storage.data_ptr() not in weights:
            kept[storage.data_ptr()] = storage.nbytes()
        return tensor

    places = np.arange(rows) % len(source)
    draw = Draw.at(source, places, np.arange(rows), separate_documents=config.separate_documents)
    hooks = torch.autograd.graph.saved_tensors_hooks(note, lambda tensor: tensor)
    with layers_recomputed(model, on=config.activation_checkpointing, but=1), hooks:
        task.loss(model, task.batch(draw).to(device_of(model)))
    torch.set_rng_state(random)
    return sum(kept.values())


def _optimizer_bytes(config: OptimizerConfig, model: LanguageModel) -> int:
    """What the optimizer remembers of each weight, by a step over stand-ins of the same names and fewer numbers."""
    full = {name: weight for name, weight in model.named_parameters() if weight.requires_grad}
    weights = {name: nn.Parameter(torch.zeros([min(n, _SMALL) for n in w.shape])) for name, w in full.items()}
    for weight in weights.values():
        weight.grad = torch.zeros_like(weight)
    optimizer = Optimizer(config, weights)
    optimizer.step(0.0)
    sizes = dict.fromkeys(weights, 0)
    for key, tensor in optimizer.tensors().items():
        sizes[key.rpartition(".")[0]] += tensor.nbytes
    widths = {name: max(4, w.element_size()) for name, w in full.items()}
    return sum(size * full[name].numel() * widths[name] // max(1, weights[name].nbytes) for name, size in sizes.items())


def _too_large(need: Footprint, free: int, config: TrainConfig) -> str:
    row = f", {_gb(need.fixed + need.row)} activations of one row of {config.context:,} tokens" if need.row else ""
    ways = ["a smaller model", "a shorter train.context" if need.row else "", "optimizer.name=adafactor"]
    if need.row and not config.activation_checkpointing:
        ways.insert(0, "train.activation_checkpointing=true")
    return (
        f"training needs at least {_gb(need.total(1))} of memory beside the model, and {_gb(free)} are free: "
        f"{_gb(need.weights)} copies of weights, {_gb(need.gradients)} gradients, {_gb(need.optimizer)} the optimizer's"
        f"{row}. Try {', '.join(way for way in ways if way)}"
    )


def _gb(size: int) -> str:
    return f"{size / 1e9:.2f} GB"
