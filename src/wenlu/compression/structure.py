"""Whole parts taken out of a model: inner neurons, heads, layers. What is left is a smaller model of the same family.

It loads wherever its family does, and recovers by a short training that begins with it (`model.base`).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import Annotated, Any, ClassVar, Literal

import torch
from pydantic import Field
from torch import Tensor, nn

from wenlu.bundle import Bundle
from wenlu.compression.calibration import Calibration, Gram, grams, read
from wenlu.compression.layerwise import needed
from wenlu.compression.method import Compressed, Kind, MethodConfig
from wenlu.config import check
from wenlu.errors import ConfigError, UsageError
from wenlu.generation.forward import inference
from wenlu.models import LanguageModel, ModelConfig, family_of
from wenlu.models.layers.decoder import Decoder, GroupedDecoderConfig
from wenlu.models.quantised import quantised_layers
from wenlu.progress import QUIET, Progress

_DAMPING = 1e-2
Kept = dict[str, Tensor]
"""By name of a layer, the numbers of the parts that stay, in order."""


class StructureConfig(MethodConfig):
    """What part of each layer, or of the layers, goes.

    Attributes:
        share: of the parts; as many whole ones as are nearest to it.
    """

    is_calibrated: ClassVar[bool] = True

    share: Annotated[float, Field(gt=0, lt=1)] = 0.25

    @property
    def label(self) -> str:
        return f"{self.method}-{self.share:g}"

    @property
    def kind(self) -> Kind:
        return "cut"

    @classmethod
    def read_option(cls, text: str) -> dict[str, Any] | None:
        try:
            return {"share": float(text)}
        except ValueError:
            return None

    def kept(self, count: int, what: str) -> int:
        """How many of `count` stay; raises UsageError where that is all of them, or none."""
        left = count - round(self.share * count)
        if not 0 < left < count:
            raise UsageError(f"{self.label}: of {count} {what} that leaves {left}; take another share")
        return left


class RefitConfig(StructureConfig):
    """Attributes:
    refit: the map behind the parts that went is fitted anew, so that its outputs on the texts stay as near as can be.
    """

    refit: bool = True


class NeuronsConfig(RefitConfig):
    """Inner neurons of the feed-forward halves, of the least energy that they bring to the outputs."""

    method: Literal["neurons"] = "neurons"


class HeadsConfig(RefitConfig):
    """Heads of attention with their keys and values, of the least energy that they bring to the outputs."""

    method: Literal["heads"] = "heads"


class LayersConfig(StructureConfig):
    """Layers whose output is most like their input (Men et al. 2024, arXiv:2403.03853)."""

    method: Literal["layers"] = "layers"


def cut_neurons(
    bundle: Bundle, config: NeuronsConfig, calibration: Calibration | None = None, progress: Progress = QUIET
) -> Compressed:
    """The bundle with a narrower feed-forward; raises UsageError for a model without one, or without texts."""
    model = _plain(bundle, config)
    maps = {name: each for name, each in model.named_modules() if isinstance(each, nn.Linear)}
    behind = [name for name in maps if name.endswith("down_proj")]
    size = getattr(model.config, "intermediate_size", None)
    if not behind or any(maps[name].in_features != size for name in behind):
        raise UsageError(f"{bundle.path}: {type(model).__name__} has no inner neurons of one number for all layers")
    assert isinstance(size, int), "the number of inner neurons"
    left = config.kept(size, "neurons")
    progress.start(config.label, unit="layers")
    tensors = dict(model.state_dict())
    for name, seen in _seen(bundle, behind, calibration, config):
        down = tensors[f"{name}.weight"].double()
        energies = down.square().sum(0) * seen.matrix.diagonal()
        kept = energies.argsort(descending=True, stable=True)[:left].sort().values
        half = name.removesuffix("down_proj")
        for part in ("gate_proj", "up_proj"):
            for key in (f"{half}{part}.weight", f"{half}{part}.bias"):
                if key in tensors:
                    tensors[key] = tensors[key][kept]
        tensors[f"{name}.weight"] = (
            refitted(tensors[f"{name}.weight"], seen, kept) if config.refit else tensors[f"{name}.weight"][:, kept]
        )
    progress.finish(f"{left} of {size} neurons a layer stay")
    return Compressed(_rebuilt(bundle, tensors, {"intermediate_size": left}, config))


def cut_heads(
    bundle: Bundle, config: HeadsConfig, calibration: Calibration | None = None, progress: Progress = QUIET
) -> Compressed:
    """The bundle with fewer heads; raises UsageError for a family whose heads follow from its width, or whose width
    is no multiple of what is left."""
    model = _plain(bundle, config)
    own = model.config
    if not isinstance(own, GroupedDecoderConfig):
        raise UsageError(f"{bundle.path}: in {type(model).__name__} the size of heads follows from their number")
    groups = own.num_key_value_heads
    size = own.head_dim * own.num_attention_heads // groups  # of the inputs of o_proj that one group of queries makes
    left = config.kept(groups, "heads of keys and values")
    progress.start(config.label, unit="layers")
    tensors = dict(model.state_dict())
    names = [name for name, _ in model.named_modules() if name.endswith("self_attn.o_proj")]
    for name, seen in _seen(bundle, names, calibration, config):
        out = tensors[f"{name}.weight"].double()
        moved = ((out @ seen.matrix) * out).sum(0)  # of single inputs; their sum over a group is what it brings
        kept = moved.view(groups, size).sum(1).argsort(descending=True, stable=True)[:left].sort().values
        attention = name.removesuffix(".o_proj")
        for part, width in (("q_proj", size), ("k_proj", own.head_dim), ("v_proj", own.head_dim)):
            for key in (f"{attention}.{part}.weight", f"{attention}.{part}.bias"):
                if key in tensors:
                    tensors[key] = tensors[key].unflatten(0, (groups, width))[kept].flatten(0, 1)
        columns = torch.arange(groups * size).view(groups, size)[kept].flatten()
        tensors[f"{name}.weight"] = (
            refitted(tensors[f"{name}.weight"], seen, columns)
            if config.refit
            else tensors[f"{name}.weight"][:, columns]
        )
    progress.finish(f"{left} of {groups} heads of keys and values a layer stay")
    update = {"num_key_value_heads": left, "num_attention_heads": own.num_attention_heads // groups * left}
    return Compressed(_rebuilt(bundle, tensors, {**update, "head_dim": own.head_dim}, config))


def cut_layers(
    bundle: Bundle, config: LayersConfig, calibration: Calibration | None = None, progress: Progress = QUIET
) -> Compressed:
    """The bundle with fewer layers; raises UsageError for a model whose layers see tokens in different ways."""
    model = _plain(bundle, config)
    if not isinstance(model, Decoder) or len(set(model.views)) > 1:
        raise UsageError(f"{bundle.path}: the layers of {type(model).__name__} differ, so none can stand for another")
    count = len(model.layers)
    left = config.kept(count, "layers")
    progress.start(config.label, unit="layers")
    likeness = _likeness(model, needed(calibration, config.label).rows(bundle))
    kept = likeness.argsort(stable=True)[:left].sort().values.tolist()
    places = {old: new for new, old in enumerate(kept)}
    tensors: dict[str, Tensor] = {}
    for key, tensor in model.state_dict().items():
        first, _, rest = key.partition(".")
        if first != "layers":
            tensors[key] = tensor
            continue
        number, _, name = rest.partition(".")
        if int(number) in places:
            tensors[f"layers.{places[int(number)]}.{name}"] = tensor
    progress.finish(f"layers {', '.join(str(each) for each in range(count) if each not in places)} went")
    return Compressed(_rebuilt(bundle, tensors, {"num_hidden_layers": left}, config))


def _plain(bundle: Bundle, config: StructureConfig) -> LanguageModel:
    if quantised_layers(bundle.model):
        raise UsageError(f"{bundle.path}: is quantised; {config.method} go before that, as in {config.label}+rtn-int8")
    return bundle.model


def _seen(
    bundle: Bundle, names: Sequence[str], calibration: Calibration | None, config: StructureConfig
) -> list[tuple[str, Gram]]:
    rows = needed(calibration, config.label).rows(bundle)
    return [(name, grams(bundle.model, [name], rows)[name]) for name in names]


def refitted(weight: Tensor, seen: Gram, kept: Tensor, damping: float = _DAMPING) -> Tensor:
    """(M, K') weights of the kept inputs whose outputs come nearest to those that all (M, K) gave.

    Least squares, with what a weight moves by counted as well: `damping` times the mean energy of an input. So few
    texts change little.
    """
    gone = torch.ones(weight.size(1), dtype=torch.bool)
    gone[kept] = False
    inner = seen.matrix[kept][:, kept]
    inner = inner + torch.eye(len(kept), dtype=inner.dtype) * (damping * float(inner.diagonal().mean()) + 1e-12)
    wide = weight.double()
    lost = wide[:, gone] @ seen.matrix[gone][:, kept]  # (M, K'), what the inputs that went gave along the others
    made_up: Tensor = torch.linalg.solve(inner, lost.T).T
    return (wide[:, kept] + made_up).to(weight.dtype)


def _likeness(model: Decoder, rows: Sequence[Tensor]) -> Tensor:
    """(L,) mean cosine of each layer's input and output."""
    sums = torch.zeros(len(model.layers), dtype=torch.float64)

    def see(layer: nn.Module, inputs: tuple[Any, ...], output: Tensor) -> None:
        sums[places[layer]] += nn.functional.cosine_similarity(inputs[0].double(), output.double(), dim=-1).mean()

    places = {layer: place for place, layer in enumerate(model.layers)}
    handles = [layer.register_forward_hook(see) for layer in model.layers]
    try:
        with inference(model):
            for row in rows:
                read(model, row)
    finally:
        for handle in handles:
            handle.remove()
    return sums / len(rows)


def _rebuilt(bundle: Bundle, tensors: dict[str, Tensor], update: dict[str, Any], config: StructureConfig) -> Bundle:
    family = family_of(bundle.model)
    settings = {**bundle.model.config.model_dump(), **update}
    try:
        smaller: ModelConfig = check(family.config, settings, where=config.label)
    except ConfigError as error:
        raise UsageError(f"{error}; take a share that leaves a number that fits") from error
    dtype = next(bundle.model.parameters()).dtype
    model = family.build(smaller, dtype=dtype)
    model.load_state_dict(tensors)
    return replace(bundle, model=model.eval(), config=smaller)
