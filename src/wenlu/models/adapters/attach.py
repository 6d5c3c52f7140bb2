"""Put adapters beside a model's linear maps, choose among them, and take them off again.

The maps stay where they are, with their names and weights. A hook adds to what they return, and says of them that
they are more than their weights: what computes several plain maps together leaves them alone.
"""

from __future__ import annotations

import copy
import re
from collections.abc import Mapping, Sequence
from itertools import chain
from typing import TypeVar

from torch import Tensor, nn

from wenlu.config import did_you_mean
from wenlu.errors import UsageError
from wenlu.models.adapters.config import Form
from wenlu.models.adapters.low_rank import LowRank
from wenlu.models.adapters.target import targets_in
from wenlu.models.quantised import QuantisedLinear

Model = TypeVar("Model", bound=nn.Module)
DEFAULT = "default"
_PART = "adapters"
_NAME = re.compile(r"[A-Za-z0-9_-]+")


class Adapters(nn.ModuleDict):
    """Those of one linear map, by name.

    Attributes:
        in_use: which of them adds to what the map returns. merged: which are within its weight.
        before: the weight without those, where it was kept.
    """

    def __init__(self) -> None:
        super().__init__()
        self.in_use: str | None = None
        self.merged: tuple[str, ...] = ()
        self.before: tuple[Tensor, ...] = ()  # a tuple, or it would be one more parameter

    def named(self, name: str) -> LowRank:
        found = self[name]
        assert isinstance(found, LowRank), "nothing else is put here"
        return found


def attach(model: nn.Module, adapters: Mapping[str, LowRank], name: str = DEFAULT, *, use: bool = True) -> None:
    """Put adapters beside the linear maps of these names, in place, as the adapter `name` of the model.

    Raises UsageError for a name that is taken or cannot be one.
    """
    if name in adapter_names(model):
        raise UsageError(f"there is an adapter {name!r} already; detach it, or choose another name")
    if not _NAME.fullmatch(name) or hasattr(nn.ModuleDict, name):
        raise UsageError(f"{name!r} cannot name an adapter; take letters, digits, _ and -, and no method of a dict")
    for place, adapter in adapters.items():
        module = model.get_submodule(place)
        own = adapters_of(module)
        if own is None:
            own = Adapters()
            put_beside(module, own)
        own[name] = adapter
    if use:
        use_adapter(model, name)


def draw(model: nn.Module, places: Sequence[str], form: Form) -> dict[str, LowRank]:
    """New adapters for the linear maps of these names; nothing is attached."""
    known = targets_in(model)
    return {place: LowRank.drawn(known[place], form) for place in places}


def detach(model: nn.Module, name: str = DEFAULT) -> dict[str, LowRank]:
    """Take an adapter off, in place; returns it. Raises UsageError where it is merged or not there."""
    _require(model, name)
    if any(name in own.merged for own in _each(model).values()):
        raise UsageError(f"the adapter {name!r} is merged; unmerge it before it is detached")
    found = {}
    for place, own in _each(model).items():
        if name not in own:
            continue
        found[place] = own.named(name)
        del own[name]
        own.in_use = None if own.in_use == name else own.in_use
        if not own:
            module = model.get_submodule(place)
            delattr(module, _PART)
            for key in [key for key, hook in module._forward_hooks.items() if hook is _add]:
                del module._forward_hooks[key]
    return found


def use_adapter(model: nn.Module, name: str | None) -> None:
    """From now on answer with the adapter of that name, or as the base; raises UsageError for an unknown one."""
    if name is not None:
        _require(model, name)
    for own in _each(model).values():
        own.in_use = name if name is not None and name in own else None


def adapter_in_use(model: nn.Module) -> str | None:
    """The name of the adapter that the model answers with."""
    return next((own.in_use for own in _each(model).values() if own.in_use is not None), None)


def adapter_names(model: nn.Module) -> tuple[str, ...]:
    """Of all adapters of the model, in the order that they came."""
    return tuple(dict.fromkeys(name for own in _each(model).values() for name in own))


def adapters_named(model: nn.Module, name: str) -> dict[str, LowRank]:
    """The parts of an adapter by the names of the linear maps beside which they are; raises UsageError."""
    _require(model, name)
    return {place: own.named(name) for place, own in _each(model).items() if name in own}


def adapters_of(module: nn.Module) -> Adapters | None:
    """Those of one linear map; None where it has none."""
    found = module._modules.get(_PART)
    return found if isinstance(found, Adapters) else None


def put_beside(module: nn.Module, adapters: Adapters) -> None:
    """Let a linear map without adapters have these."""
    module.add_module(_PART, adapters)
    module.register_forward_hook(_add)


def carry(source: nn.Module, target: nn.Module) -> None:
    """Put the adapters of a model beside the maps of the same names of another; both then share them."""
    for name in adapter_names(source):
        attach(target, adapters_named(source, name), name, use=False)
    use_adapter(target, adapter_in_use(source))


def view_of(model: Model) -> Model:
    """A copy that shares all weights, and can have adapters of its own."""
    return copy.deepcopy(model, {id(tensor): tensor for tensor in chain(model.parameters(), model.buffers())})


def _add(module: nn.Module, given: tuple[Tensor, ...], out: Tensor) -> Tensor:
    own = adapters_of(module)
    if own is None or own.in_use is None:
        return out
    assert isinstance(module, nn.Linear | QuantisedLinear), "adapters stand beside linear maps"
    return own.named(own.in_use).added(module, given[0], out)


def _each(model: nn.Module) -> dict[str, Adapters]:
    return {place: own for place, module in model.named_modules() if (own := adapters_of(module)) is not None}


def _require(model: nn.Module, name: str) -> None:
    known = adapter_names(model)
    if name not in known:
        told = f"; {did_you_mean(name, known)}" if known else ": it has none"
        raise UsageError(f"the model has no adapter {name!r}{told}")


def without_adapters(model: nn.Module) -> dict[str, Tensor]:
    """The state of the model but for its adapters."""
    inside = tuple(f"{place}.{_PART}." for place in _each(model))
    return {name: tensor for name, tensor in model.state_dict().items() if not name.startswith(inside)}


def freeze_base(model: nn.Module) -> None:
    """Let nothing learn but adapters, in place."""
    own = {id(weight) for each in _each(model).values() for weight in each.parameters()}
    for weight in model.parameters():
        weight.requires_grad_(id(weight) in own)
