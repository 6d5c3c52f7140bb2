"""`adapter_config.json` as peft writes and reads it: what we use of it, what we know to be harmless, and no more."""

from __future__ import annotations

import json
import re
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from wenlu.errors import WeightsError
from wenlu.models.adapters.config import Form
from wenlu.models.weights.files import read_json
from wenlu.rundir.atomic import write_text

FILE = "adapter_config.json"

_HARMLESS = frozenset(
    {
        "auto_mapping",
        "ensure_weight_tying",
        "eva_config",
        "exclude_modules",
        "fan_in_fan_out",
        "inference_mode",
        "layers_pattern",
        "layers_to_transform",
        "megatron_core",
        "modules_to_save",
        "peft_version",
        "qalora_group_size",
        "r",
        "rank_pattern",
        "runtime_config",
        "target_modules",
    }
)
"""Keys that say how an adapter was made, or what its tensors say themselves: which maps it has, and of which rank."""
_USED = frozenset(
    {
        "alpha_pattern",
        "base_model_name_or_path",
        "bias",
        "init_lora_weights",
        "lora_alpha",
        "lora_dropout",
        "peft_type",
        "revision",
        "task_type",
        "use_dora",
        "use_rslora",
    }
)
_OFF = frozenset(
    {
        "alora_invocation_tokens",
        "arrow_config",
        "corda_config",
        "kasa_config",
        "layer_replication",
        "loftq_config",
        "lora_bias",
        "lora_ga_config",
        "megatron_config",
        "monteclora_config",
        "target_parameters",
        "trainable_token_indices",
        "use_bdlora",
        "use_qalora",
        "velora_config",
    }
)
"""Keys of what Wenlu does not do; harmless where they hold nothing."""
_STARTS = (True, False, "gaussian", "orthogonal", "eva")
"""Ways to draw the first weights that leave the base as it is."""


@dataclass(frozen=True)
class PeftConfig:
    """What a file says.

    Attributes:
        base: the model that it stands beside, as `load` takes it.
        alphas: of maps by the end of their name, where they have one of their own.
        task: peft's name of what the model is for; None where it does not say.
    """

    base: str | None
    alpha: float
    is_stabilised: bool = False
    is_dora: bool = False
    dropout: float = 0.0
    alphas: Mapping[str, float] = field(default_factory=dict)
    task: str | None = None

    def form(self, module: str, rank: int) -> Form:
        """Of the map that they call `module`, whose matrices meet in `rank` numbers."""
        own = next((alpha for pattern, alpha in self.alphas.items() if _matches(pattern, module)), self.alpha)
        return Form(rank, own, self.is_stabilised, self.is_dora, self.dropout)


def read_config(folder: Path) -> PeftConfig:
    """Raises WeightsError for a kind that is not LoRA's, and for a key without a meaning here."""
    path = folder / FILE
    content = read_json(path)
    if content.get("peft_type") != "LORA":
        raise WeightsError(f"{path}: peft_type is {content.get('peft_type')!r}; Wenlu reads adapters of peft_type LORA")
    for key, value in content.items():
        if key in _OFF and value not in (None, False, {}, []):
            raise WeightsError(
                f"{path}: {key} = {value!r} is nothing that Wenlu does; merge the adapter with peft first"
            )
        if key not in _HARMLESS | _USED | _OFF:
            raise WeightsError(f"{path}: unknown key {key!r} = {value!r}: it may change what the adapter computes")
    start = content.get("init_lora_weights", True)
    if start not in _STARTS:
        raise WeightsError(
            f"{path}: init_lora_weights = {start!r} changes the base's own weights; save the adapter with peft's "
            "path_initial_model_for_weight_conversion, which makes it a plain one"
        )
    patterns = content.get("alpha_pattern") or {}
    if not isinstance(patterns, dict) or not all(_is_number(value) for value in patterns.values()):
        raise WeightsError(f"{path}: alpha_pattern should give numbers by name, found {patterns!r}")
    for pattern in patterns:
        if not re.fullmatch(r"\^?[\w.\\-]+\$?", pattern):
            raise WeightsError(f"{path}: alpha_pattern {pattern!r} is a pattern; Wenlu reads names of modules there")
    numbers = {key: content.get(key, default) for key, default in (("lora_alpha", 8), ("lora_dropout", 0.0))}
    for key, value in numbers.items():
        if not _is_number(value) or value < 0 or (key == "lora_dropout" and value >= 1):
            raise WeightsError(f"{path}: {key} = {value!r} is no such number")
    task = content.get("task_type")
    return PeftConfig(
        base=_base(content, path),
        alpha=float(numbers["lora_alpha"]),
        is_stabilised=bool(content.get("use_rslora", False)),
        is_dora=bool(content.get("use_dora", False)),
        dropout=float(numbers["lora_dropout"]),
        alphas={key: float(value) for key, value in patterns.items()},
        task=task if isinstance(task, str) else None,
    )


def write_config(
    folder: Path,
    forms: Mapping[str, Form],
    *,
    base: str | None,
    targets: Sequence[str],
    whole: Sequence[str],
    task: str | None,
    is_transposed: bool,
) -> None:
    """Write the file for maps that they call so; `whole` modules are saved with all their weights."""
    first = next(iter(forms.values()))
    (rank, alpha), _ = Counter((form.rank, form.alpha) for form in forms.values()).most_common(1)[0]
    name, _, revision = _hub_id(base or "").partition("@")
    content: dict[str, Any] = {
        "peft_type": "LORA",
        "task_type": task,
        "base_model_name_or_path": name or None,
        "revision": revision or None,
        "inference_mode": True,
        "r": rank,
        "lora_alpha": _plain(alpha),
        "lora_dropout": first.dropout,
        "bias": "none",
        "fan_in_fan_out": is_transposed,
        "init_lora_weights": True,
        "target_modules": list(targets),
        "modules_to_save": list(whole) or None,
        "rank_pattern": {name: form.rank for name, form in forms.items() if form.rank != rank},
        "alpha_pattern": {name: _plain(form.alpha) for name, form in forms.items() if form.alpha != alpha},
        "use_rslora": first.is_stabilised,
        "use_dora": first.is_dora,
    }
    write_text(folder / FILE, json.dumps(content, indent=2, ensure_ascii=False) + "\n")


def _base(content: Mapping[str, Any], path: Path) -> str | None:
    """Raises WeightsError for an address: a folder of others decides not what is fetched from anywhere."""
    base, revision = content.get("base_model_name_or_path"), content.get("revision")
    if not isinstance(base, str) or not base:
        return None
    if "://" in base:
        raise WeightsError(f"{path}: base_model_name_or_path = {base!r} is an address; name a folder or a hub id")
    return f"{base}@{revision}" if isinstance(revision, str) and not Path(base).exists() else base


def _hub_id(base: str) -> str:
    """As peft has it, with @REVISION behind it; a path stays."""
    return base if Path(base).exists() else base.removeprefix("hf:")


def _matches(pattern: str, module: str) -> bool:
    name = pattern.removeprefix("^").removesuffix("$").replace("\\.", ".")
    return module == name or (not pattern.startswith("^") and module.endswith(f".{name}"))


def _is_number(value: object) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool)


def _plain(number: float) -> float:
    return int(number) if number == int(number) else number
