"""`adapter_model.safetensors` as peft writes and reads it.

Where their one map holds several of ours (GPT-2's `c_attn`), their A is what all of ours read with, and each of ours
has its rows of their B. The other way round, ours with matrices of their own become one pair: the As stand one under
the other, the Bs along the diagonal, and the rank is the sum; the product is the same.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path

import torch
from safetensors.torch import save_file
from torch import Tensor, nn

from wenlu.errors import WeightsError
from wenlu.models.adapters.config import Form
from wenlu.models.adapters.low_rank import LowRank, lengths_of
from wenlu.models.adapters.peft_config import PeftConfig
from wenlu.models.adapters.places import Place, Places
from wenlu.models.adapters.target import Target, weight_of
from wenlu.models.weights.files import read_file
from wenlu.models.weights.rules import Entries

FILE = "adapter_model.safetensors"
_PREFIX = "base_model.model."
_A, _B, _LENGTHS = "lora_A", "lora_B", "lora_magnitude_vector"
_KEY = re.compile(rf"(?P<module>.+)\.(?P<kind>{_A}|{_B}|{_LENGTHS})(\.weight)?")


@dataclass(frozen=True)
class Fused:
    """An adapter of one of their maps. `is_transposed`: they keep its weight the other way round."""

    form: Form
    a: Tensor
    b: Tensor
    lengths: Tensor | None
    is_transposed: bool


def read_tensors(folder: Path) -> tuple[dict[str, dict[str, Tensor]], Entries]:
    """By their name of the map its A, B and lengths; and what is saved whole, by their name.

    Raises WeightsError for a tensor of another kind.
    """
    path = folder / FILE
    if not path.is_file():
        raise WeightsError(f"{folder}: no {FILE}; an adapter that is a pickle is not read, save it with peft again")
    parts: dict[str, dict[str, Tensor]] = {}
    whole: Entries = {}
    for key, item in read_file(path).items():
        if not key.startswith(_PREFIX):
            raise WeightsError(f"{path}: {key} does not begin with {_PREFIX}, as adapters of language models do")
        name = key.removeprefix(_PREFIX)
        if found := _KEY.fullmatch(name):
            parts.setdefault(found["module"], {})[found["kind"]] = item.read()
        elif ".lora_" in name:
            raise WeightsError(f"{path}: {key} is of a kind that Wenlu does not know; it reads adapters of linear maps")
        else:
            whole[name.replace(".base_layer.", ".").replace(".modules_to_save.", ".")] = item
    return parts, whole


def adapters_in(
    folder: Path,
    config: PeftConfig,
    parts: Mapping[str, Mapping[str, Tensor]],
    places: Places,
    targets: Mapping[str, Target],
) -> dict[str, LowRank]:
    """Adapters of our maps from those of theirs; raises WeightsError where one has no place or another shape."""
    found: dict[str, LowRank] = {}
    for module, tensors in parts.items():
        where = f"{folder / FILE}: {module}"
        a, b, lengths = tensors.get(_A), tensors.get(_B), tensors.get(_LENGTHS)
        if a is None or b is None or (lengths is None) == config.is_dora:
            wanted = f"{_A}, {_B}" + (f" and {_LENGTHS}" if config.is_dora else "")
            raise WeightsError(f"{where}: has {', '.join(sorted(tensors))}, but its adapter consists of {wanted}")
        held = places.get(f"{module}.weight", ())
        ours = {place.ours.removesuffix(".weight"): place for place in held}
        strangers = [name for name in ours if name not in targets]
        if not held or strangers:
            what = f"{strangers[0]} of ours, no plain linear map" if strangers else "no map of that name"
            raise WeightsError(f"{where}: is {what}; was the adapter made for this base?")
        rows, columns = held[-1].end, targets[next(iter(ours))].in_features
        shapes = (tuple(a.shape)[1:], tuple(b.shape), () if lengths is None else tuple(lengths.shape))
        if a.ndim != 2 or shapes != ((columns,), (rows, len(a)), () if lengths is None else (rows,)):
            raise WeightsError(
                f"{where}: A {list(a.shape)} and B {list(b.shape)} do not fit a map from {columns} to {rows} numbers; "
                "was the adapter made for this base?"
            )
        wide = torch.promote_types(weight_of(targets[next(iter(ours))]).dtype, torch.float32)
        shared = nn.Parameter(a.to(wide))
        form = config.form(module, len(a))
        for name, place in ours.items():
            own = slice(place.begin, place.end)
            own_lengths = None if lengths is None else lengths[own].to(wide, copy=True)
            found[name] = LowRank(form, shared, b[own].to(wide, copy=True), own_lengths)
    return found


def fused(adapters: Mapping[str, LowRank], places: Places, targets: Mapping[str, Target]) -> dict[str, Fused]:
    """By their name what our adapters are of their maps."""
    found: dict[str, Fused] = {}
    for key, held in places.items():
        ours = {place.ours.removesuffix(".weight"): place for place in held}
        if any(name in adapters for name in ours):
            found[key.removesuffix(".weight")] = _fuse(adapters, ours, targets)
    missing = adapters.keys() - {place.ours.removesuffix(".weight") for held in places.values() for place in held}
    if missing:
        raise WeightsError(f"{sorted(missing)[0]}: has an adapter, but no place of its own in files of this family")
    return found


def write_tensors(folder: Path, adapters: Mapping[str, Fused], whole: Mapping[str, Tensor]) -> None:
    tensors: dict[str, Tensor] = {}
    for module, each in adapters.items():
        tensors |= {f"{module}.{_A}.weight": each.a, f"{module}.{_B}.weight": each.b}
        if each.lengths is not None:
            tensors[f"{module}.{_LENGTHS}"] = each.lengths
    stored = {f"{_PREFIX}{name}": tensor.detach().cpu().contiguous() for name, tensor in {**tensors, **whole}.items()}
    save_file(stored, folder / FILE, metadata={"format": "pt"})


def _fuse(adapters: Mapping[str, LowRank], ours: Mapping[str, Place], targets: Mapping[str, Target]) -> Fused:
    present = {name: adapters[name] for name in ours if name in adapters}
    first = next(iter(present.values()))
    is_transposed = next(iter(ours.values())).is_transposed
    if len(ours) == 1:
        return Fused(first.form, first.lora_A, first.lora_B, first.lora_magnitude_vector, is_transposed)
    rows = max(place.end for place in ours.values())
    is_shared = all(
        one.form == first.form and (one.lora_A is first.lora_A or torch.equal(one.lora_A, first.lora_A))
        for one in present.values()
    )
    rank = first.form.rank if is_shared else sum(one.form.rank for one in present.values())
    b = first.lora_B.new_zeros(rows, rank)
    column = 0
    for name, one in present.items():
        begin = 0 if is_shared else column
        own = one.lora_B.detach() if is_shared else one.lora_B.detach() * (one.form.scale / first.form.scale)
        b[ours[name].begin : ours[name].end, begin : begin + one.form.rank] = own
        column += one.form.rank
    a = first.lora_A if is_shared else torch.cat([one.lora_A.detach() for one in present.values()])
    lengths = None
    if first.form.is_dora:
        lengths = torch.cat([_lengths(present.get(name), targets[name]) for name in ours])
    ratio = rank**0.5 if first.form.is_stabilised else rank
    form = first.form if is_shared else replace(first.form, rank=rank, alpha=first.form.scale * ratio)
    return Fused(form, a, b, lengths, is_transposed)


def _lengths(adapter: LowRank | None, target: Target) -> Tensor:
    """Of a map without an adapter those that it has."""
    if adapter is None or adapter.lora_magnitude_vector is None:
        weight = weight_of(target)
        return lengths_of(weight.to(torch.promote_types(weight.dtype, torch.float32)))
    return adapter.lora_magnitude_vector.detach()
