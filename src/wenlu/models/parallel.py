"""What several processes need to know of a model to share it; names of modules are the same in all families.

Tensor parallelism (Megatron: Shoeybi et al. 2019, arXiv:1909.08053): each process holds some of the heads and some of
the feed-forward's inner values. The weights that make them are cut by output, those that read them by input, and one
sum a half layer joins the processes again.
"""

from __future__ import annotations

from typing import Literal

from torch import nn

from wenlu.errors import UsageError
from wenlu.models.family import LanguageModel
from wenlu.models.layers.attention import CrossAttention
from wenlu.models.layers.dual_encoder import DualEncoder

Cut = Literal["outputs", "inputs", "sum"]
"""By output, by input, or not cut though each process sees only some heads: its gradients are summed."""

CUTS: dict[str, Cut] = {
    "q_proj": "outputs",
    "k_proj": "outputs",
    "v_proj": "outputs",
    "o_proj": "inputs",
    "gate_proj": "outputs",
    "up_proj": "outputs",
    "down_proj": "inputs",
    "q_norm": "sum",
    "k_norm": "sum",
}


def tensor_parallel_plan(model: nn.Module, processes: int) -> dict[str, Cut]:
    """What becomes of each module that is cut, by its name.

    Raises:
        UsageError: the model has no heads to share, or not a multiple of `processes` of them.
    """
    names = dict(model.named_modules())
    where = f"distributed.tensor_parallel={processes}"
    plan = {
        name: CUTS[last] for name in names if (last := name.rpartition(".")[2]) in CUTS and ".layers." in f".{name}"
    }
    if "inputs" not in plan.values() or any(name.endswith("relative_bias") for name in names):
        raise UsageError(f"{where}: {type(model).__name__} cannot be shared by its heads; remove it")
    for name, cut in plan.items():
        module = names[name]
        if not isinstance(module, nn.Linear):
            continue
        size = module.out_features if cut == "outputs" else module.in_features
        unit = getattr(names[name.rpartition(".")[0]], "head_dim", 1)
        if size // unit % processes:
            what = "heads" if unit > 1 else "inner values"
            raise UsageError(f"{where}: {name} has {size // unit} {what}, not a multiple of it; choose a divisor")
    return plan


def gathered_units(model: LanguageModel) -> dict[str, tuple[str, ...]]:
    """Modules whose weights are needed at one time, inner ones first, and their methods beside the call that use them.

    The model itself is the last one, by the name "". It may be the head of a task on another one, its `body`.

    Raises:
        UsageError: the model consists of others, or of two encoders, whose scale is a single number.
    """
    units: dict[str, tuple[str, ...]] = {}
    if any(isinstance(module, DualEncoder) for module in model.modules()):
        raise UsageError('distributed.parallel="fsdp" cannot part two encoders side by side; choose "ddp"')
    others = [name for name, module in model.named_modules() if isinstance(module, LanguageModel) and name]
    if others not in ([], ["body"]):
        raise UsageError('distributed.parallel="fsdp" cannot part a task of several models; choose "ddp"')
    for name, module in model.named_modules():
        if isinstance(module, CrossAttention):
            units[name] = ("project",)
    for name, module in model.named_modules():
        if isinstance(module, nn.ModuleList) and name.rpartition(".")[2] == "layers":
            units |= {f"{name}.{number}": () for number in range(len(module))}
    return {**units, "": ("hidden",)}
