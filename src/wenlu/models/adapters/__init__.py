"""Low-rank adapters beside the linear maps of a model: learnt, attached, merged, and kept in peft's files."""

from wenlu.models.adapters.attach import (
    DEFAULT,
    adapter_in_use,
    adapter_names,
    adapters_named,
    attach,
    carry,
    detach,
    draw,
    freeze_base,
    use_adapter,
    view_of,
    without_adapters,
)
from wenlu.models.adapters.base_facts import BaseFacts, read_base
from wenlu.models.adapters.config import AdapterConfig, Form
from wenlu.models.adapters.folder import assemble, base_named, is_adapter, keep_in_bits, whole_in, write_adapter
from wenlu.models.adapters.low_rank import LowRank
from wenlu.models.adapters.merge import merge, merged_model, unmerge
from wenlu.models.adapters.target import chosen, targets_in

__all__ = [
    "DEFAULT",
    "AdapterConfig",
    "BaseFacts",
    "Form",
    "LowRank",
    "adapter_in_use",
    "adapter_names",
    "adapters_named",
    "assemble",
    "attach",
    "base_named",
    "carry",
    "chosen",
    "detach",
    "draw",
    "freeze_base",
    "is_adapter",
    "keep_in_bits",
    "merge",
    "merged_model",
    "read_base",
    "targets_in",
    "unmerge",
    "use_adapter",
    "view_of",
    "whole_in",
    "without_adapters",
    "write_adapter",
]
