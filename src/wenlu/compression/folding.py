"""Scales that move from the inputs of linear maps into their weights, so that both are easier to round.

What makes an input (a norm, or the rows of another map) is divided by its scale, and the weights that read it are
multiplied by it: the model computes the same.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass

from torch import Tensor, nn

from wenlu.bundle import Bundle
from wenlu.compression.calibration import Calibration, Gram, grams
from wenlu.compression.layerwise import maps_of, moved, needed, weight_of
from wenlu.compression.method import Compressed, LayerError, QuantiseConfig
from wenlu.errors import UsageError
from wenlu.models.layers.attention import Attention
from wenlu.models.layers.decoder import Block
from wenlu.models.layers.mlp import MLP
from wenlu.models.layers.norm import LayerNorm, RMSNorm
from wenlu.models.quantised import QuantisedLinear, linear_of, put
from wenlu.progress import QUIET, Progress


@dataclass(frozen=True)
class Fold:
    """A place where scales can move.

    Attributes:
        source: what makes the inputs: a norm, or a map whose outputs they are.
        targets: names of the maps that read them, and nothing else does.
        repeats: how many queries read each value of the source; (groups, repeats, size) of the inputs.
    """

    source: nn.Module
    targets: tuple[str, ...]
    repeats: tuple[int, int, int] | None = None

    @property
    def is_norm(self) -> bool:
        return isinstance(self.source, RMSNorm | LayerNorm)

    def alike(self, scales: Tensor) -> Tensor:
        """(K,) the scales, made the same where inputs come from the same value."""
        if self.repeats is None:
            return scales
        groups, repeats, size = self.repeats
        shared = scales.view(groups, repeats, size).amax(dim=1, keepdim=True)
        return shared.expand(groups, repeats, size).reshape(-1)

    def apply(self, model: nn.Module, scales: Tensor) -> None:
        """Move (K,) scales, which are `alike`."""
        own = scales
        if self.repeats is not None:
            groups, repeats, size = self.repeats
            own = scales.view(groups, repeats, size)[:, 0].reshape(-1)
        for name, parameter in [*self.source.named_parameters(recurse=False)]:
            by = own.view(-1, *[1] * (parameter.dim() - 1)).to(parameter.dtype)
            setattr(self.source, name, nn.Parameter(parameter.detach() / by))
        for target in self.targets:
            linear = linear_of(model, target)
            linear.weight = nn.Parameter(linear.weight.detach() * scales.to(linear.weight.dtype))


Choose = Callable[[Fold, list[Tensor], list[Gram]], Tensor | None]
"""The (K,) scales of a place from the weights and inputs of its targets; None: none."""


def folds_of(model: nn.Module) -> Iterator[tuple[str, list[Fold]]]:
    """By name of a block, the places where its scales can move."""
    for name, block in model.named_modules():
        if type(block) is not Block or not isinstance(block.self_attn, Attention):
            continue
        folds = []
        attention, mlp = block.self_attn, block.mlp
        if type(block.input_layernorm) in (RMSNorm, LayerNorm):
            folds.append(Fold(block.input_layernorm, tuple(f"{name}.self_attn.{part}_proj" for part in "qkv")))
        size = attention.head_dim
        groups = attention.v_proj.out_features // size
        repeats = attention.o_proj.in_features // attention.v_proj.out_features
        folds.append(Fold(attention.v_proj, (f"{name}.self_attn.o_proj",), (groups, repeats, size)))
        if type(block.post_attention_layernorm) in (RMSNorm, LayerNorm):
            parts = [part for part in ("gate_proj", "up_proj") if hasattr(mlp, part)]
            folds.append(Fold(block.post_attention_layernorm, tuple(f"{name}.mlp.{part}" for part in parts)))
        if isinstance(mlp, MLP):
            folds.append(Fold(mlp.up_proj, (f"{name}.mlp.down_proj",)))
        yield name, folds


def fold_and_round(
    bundle: Bundle, config: QuantiseConfig, choose: Choose, calibration: Calibration | None, progress: Progress = QUIET
) -> Compressed:
    """Move the scales of each block and round its maps, in place; raises UsageError for families without them."""
    model, names = bundle.model, maps_of(bundle)
    blocks = list(folds_of(model))
    if not blocks:
        raise UsageError(
            f"{bundle.path}: {config.method} moves scales into the norms before the maps of a block, and those of "
            f"{type(model).__name__} feed other things too; take gptq"
        )
    rows = needed(calibration, config.label).rows(bundle)
    progress.start(config.label, total=len(blocks), unit="blocks")
    errors: list[LayerError] = []
    for done, (block, folds) in enumerate(blocks, 1):
        own = [name for name in names if name.startswith(f"{block}.")]
        seen = grams(model, own, rows)
        before = {name: linear_of(model, name).weight.detach().clone() for name in own}
        moved_by: dict[str, Tensor] = {}
        for fold in folds:
            weights = [linear_of(model, target).weight.detach() for target in fold.targets]
            scales = choose(fold, weights, [seen[target] for target in fold.targets])
            if scales is not None:
                fold.apply(model, scales)
                moved_by |= dict.fromkeys(fold.targets, scales)
        for name in own:
            put(model, name, QuantisedLinear.of(linear_of(model, name), config.grid))
            after = weight_of(model.get_submodule(name))
            if name in moved_by:
                after = after / moved_by[name].double()
            if (rows_by := _rows_scale(folds, name, moved_by)) is not None:
                after = after * rows_by[:, None].double()
            errors.append(LayerError(name, moved(before[name], after, seen[name])))
        progress.update(done)
    progress.finish(f"{len(errors)} layers")
    return Compressed(bundle, tuple(errors))


def _rows_scale(folds: list[Fold], name: str, moved_by: dict[str, Tensor]) -> Tensor | None:
    """(M,) what the rows of a map were divided by, as the source of another."""
    for fold in folds:
        if fold.is_norm or fold.targets[0] not in moved_by:
            continue
        parent = name.rpartition(".")[0]
        is_source = parent == fold.targets[0].rpartition(".")[0] and name.endswith(
            "v_proj" if fold.repeats is not None else "up_proj"
        )
        if is_source:
            scales = moved_by[fold.targets[0]]
            if fold.repeats is None:
                return scales
            return scales.view(fold.repeats)[:, 0].reshape(-1)
    return None
