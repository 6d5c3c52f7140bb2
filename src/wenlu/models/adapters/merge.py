"""Put an adapter into the weights beside which it stands, and take it out again."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import nn

from wenlu.errors import UsageError
from wenlu.models.adapters.attach import (
    Model,
    adapter_in_use,
    adapter_names,
    adapters_named,
    adapters_of,
    detach,
    put_beside,
    use_adapter,
    view_of,
)
from wenlu.models.adapters.low_rank import LowRank
from wenlu.models.adapters.target import targets_in
from wenlu.models.family import LanguageModel
from wenlu.models.layers.linear import Linear
from wenlu.models.quantised import QuantisedLinear, put, quantised_layers


def merge(model: nn.Module, name: str, *, keep: bool = True) -> None:
    """Put the adapter into the weights, in place; none is in use afterwards.

    A merged map gets a weight of its own: what shared it, as the embedding a tied head, stays as it was.

    Args:
        keep: hold the weights as they were, which takes their memory twice, so that `unmerge` is exact.

    Raises:
        UsageError: into a base of 8 or 4 bits; or beside another merged adapter where either is DoRA: the second would
            scale what the first has moved, and the two would answer as neither does.
    """
    parts, known = adapters_named(model, name), targets_in(model)
    whole = {place: target for place in parts if isinstance(target := known[place], nn.Linear)}
    for place in parts:
        if isinstance(target := known[place], QuantisedLinear):
            raise UsageError(
                f"{place} is kept in {target.config.bits} bits, among whose numbers the sum is not; merge into the "
                "dequantised base: merged_model(model), or wenlu export"
            )
    merged = _merged_names(model)
    if name in merged:
        raise UsageError(f"the adapter {name!r} is merged already")
    for other in merged:
        if any(part.form.is_dora for part in (*parts.values(), *adapters_named(model, other).values())):
            raise UsageError(
                f"{name!r} cannot be merged beside {other!r}: with DoRA each changes the lengths that the other was "
                "trained with; unmerge the first, or use them one at a time"
            )
    for place, part in parts.items():
        target = whole[place]
        own = adapters_of(target)
        assert own is not None, "it has this adapter"
        weight = nn.Parameter(part.merged(target.weight), requires_grad=target.weight.requires_grad)
        if not own.merged:
            own.before = (target.weight,) if keep else ()
        target.weight, own.merged = weight, (*own.merged, name)
    use_adapter(model, None)


def unmerge(model: nn.Module) -> float:
    """Take every merged adapter out of the weights, in place.

    Returns:
        How far a weight may be from what it was: 0 where the weights were kept, else by rounding.

    Raises:
        UsageError: DoRA was merged and the weights were not kept: what it scaled cannot be told any more.
    """
    error = 0.0
    for name, target in targets_in(model).items():
        own = adapters_of(target)
        if own is None or not own.merged:
            continue
        assert isinstance(target, nn.Linear), "nothing merges into a quantised map"
        parts = [own.named(each) for each in own.merged]
        if own.before:
            target.weight = own.before[0]
        elif any(part.form.is_dora for part in parts):
            raise UsageError(f"{name}: DoRA was merged with keep=False, so its base is lost; load the base again")
        else:
            error = max(error, _take_out(target, parts))
        own.merged, own.before = (), ()
    return error


def merged_model(model: Model) -> Model:
    """A model without adapters that answers as this one does with the one in use; it shares all other weights.

    A tied head that is adapted is tied no longer, and the config says so. Quantised maps become plain ones, adapted or
    not.
    """
    name = adapter_in_use(model)
    whole = view_of(model)
    for place, layer in quantised_layers(whole).items():
        put(whole, place, _plain(layer, next(model.parameters()).dtype))
    if name is not None:
        _untie(whole, name)
        merge(whole, name, keep=False)
    for target in targets_in(whole).values():
        own = adapters_of(target)
        if own is not None:
            own.merged, own.before = (), ()
    for each in adapter_names(whole):
        detach(whole, each)
    return whole


@torch.no_grad()
def _take_out(target: nn.Linear, parts: Sequence[LowRank]) -> float:
    """Subtract what was added; returns a bound of what the roundings changed."""
    largest = float(target.weight.abs().max())
    for part in parts:
        target.weight.copy_(target.weight.to(part.lora_A.dtype) - part.delta())
    return len(parts) * torch.finfo(target.weight.dtype).eps * (largest + float(target.weight.abs().max()))


def _merged_names(model: nn.Module) -> tuple[str, ...]:
    found = (adapters_of(target) for target in targets_in(model).values())
    return tuple(dict.fromkeys(name for own in found if own is not None for name in own.merged))


def _plain(layer: QuantisedLinear, dtype: torch.dtype) -> Linear:
    """The map with the weights that the codes stand for, and its adapters beside it."""
    sizes = (layer.in_features, layer.out_features)
    plain: Linear = nn.utils.skip_init(Linear, *sizes, bias=layer.bias is not None)  # type: ignore[no-untyped-call]
    plain.weight = nn.Parameter(layer.dequantised(dtype))
    if layer.bias is not None:
        plain.bias = nn.Parameter(layer.bias.detach())
    own = adapters_of(layer)
    if own is not None:
        put_beside(plain, own)
    return plain.train(layer.training)


def _untie(model: nn.Module, name: str) -> None:
    tables = {id(module.weight) for module in model.modules() if isinstance(module, nn.Embedding)}
    known = targets_in(model)
    adapted = (known[place] for place in adapters_named(model, name))
    is_tied = any(isinstance(target, nn.Linear) and id(target.weight) in tables for target in adapted)
    if is_tied and isinstance(model, LanguageModel):
        model.config = model.config.model_copy(update={"tie_word_embeddings": False})
