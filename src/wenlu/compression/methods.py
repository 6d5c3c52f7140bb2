"""All ways of making a model smaller, a row each, and how a chain of them is written.

A step is a table, {method = "gptq", bits = 4, group_size = 32}, or its label, "gptq-int4-g32"; a chain is a list of
steps, or labels joined by "+".
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Annotated, Any

from pydantic import BeforeValidator, SerializeAsAny, ValidationError

from wenlu.bundle import Bundle
from wenlu.compression.awq import AwqConfig, awq
from wenlu.compression.calibration import Calibration
from wenlu.compression.gptq import GptqConfig, gptq
from wenlu.compression.method import Compressed, MethodConfig
from wenlu.compression.qat import QatConfig, qat
from wenlu.compression.rtn import RtnConfig, round_to_nearest
from wenlu.compression.smoothquant import SmoothQuantConfig, smoothquant
from wenlu.compression.sparsity import MagnitudeConfig, WandaConfig, magnitude, wanda
from wenlu.compression.structure import (
    HeadsConfig,
    LayersConfig,
    NeuronsConfig,
    cut_heads,
    cut_layers,
    cut_neurons,
)
from wenlu.compression.svd import SvdConfig, svd
from wenlu.compression.vocabulary import VocabularyConfig, narrow_vocabulary
from wenlu.config import did_you_mean
from wenlu.progress import Progress


@dataclass(frozen=True)
class Method:
    """One way: to add one, write its file and its row.

    Attributes:
        apply: changes the bundle's model, in place where it can.
    """

    config: type[MethodConfig]
    apply: Callable[[Bundle, Any, Calibration | None, Progress], Compressed]

    @property
    def name(self) -> str:
        name: str = self.config.model_fields["method"].default
        return name


METHODS: tuple[Method, ...] = (
    Method(RtnConfig, round_to_nearest),
    Method(GptqConfig, gptq),
    Method(AwqConfig, awq),
    Method(SmoothQuantConfig, smoothquant),
    Method(QatConfig, qat),
    Method(MagnitudeConfig, magnitude),
    Method(WandaConfig, wanda),
    Method(SvdConfig, svd),
    Method(NeuronsConfig, cut_neurons),
    Method(HeadsConfig, cut_heads),
    Method(LayersConfig, cut_layers),
    Method(VocabularyConfig, narrow_vocabulary),
)


def method_of(config: MethodConfig) -> Method:
    return next(row for row in METHODS if row.config is type(config))


def read_chain(value: object) -> tuple[MethodConfig, ...]:
    """The steps of a chain from what stands in a recipe; raises ValueError that names the step."""
    match value:
        case str():
            steps: list[object] = [part.strip() for part in value.split("+")]
        case list() | tuple():
            steps = [*value]
        case _:
            steps = [value]
    if not steps:
        raise ValueError("an empty chain; name at least one method")
    return tuple(_read_step(step) for step in steps)


def _read_step(value: object) -> MethodConfig:
    match value:
        case MethodConfig():
            return value
        case str():
            table = _of_label(value)
        case dict():
            table = value
        case _:
            raise ValueError(f'give "rtn-int8" or {{method = "rtn", bits = 8}}, not {value!r}')
    row = _row(str(table.get("method")))
    try:
        return row.config.model_validate(table)
    except ValidationError as error:
        raise ValueError("; ".join(_complaint(row, details) for details in error.errors())) from error


def _of_label(label: str) -> dict[str, Any]:
    names = [row.name for row in METHODS if label == row.name or label.startswith(f"{row.name}-")]
    if not names:
        raise ValueError(_unknown(label.partition("-")[0]))
    name = max(names, key=len)
    table: dict[str, Any] = {"method": name}
    for part in label[len(name) + 1 :].split("-") if label != name else ():
        option = _row(name).config.read_option(part)
        if option is None:
            raise ValueError(f"{label!r}: {part!r} means nothing to {name}; write {{method = {name!r}, …}} instead")
        table |= option
    return table


def _row(name: str) -> Method:
    for row in METHODS:
        if row.name == name:
            return row
    raise ValueError(_unknown(name))


def _unknown(name: str) -> str:
    return f"no method {name!r}; {did_you_mean(name, [row.name for row in METHODS])}"


def _complaint(row: Method, details: Any) -> str:
    key = ".".join(map(str, details["loc"]))
    if details["type"] == "extra_forbidden":
        return f"{row.name}: {key}: unknown key; {did_you_mean(key, row.config.model_fields)}"
    message = details["msg"].removeprefix("Value error, ")
    message = message[:1].lower() + message[1:]
    said = f"{row.name}: {key}: {message}" if key else f"{row.name}: {message}"
    return said if details["type"] == "value_error" else f"{said}, not {details['input']!r}"


Step = Annotated[MethodConfig, SerializeAsAny()]
Chain = Annotated[tuple[Step, ...], BeforeValidator(read_chain)]
"""A settings field: steps that follow one another."""


def label_of(chain: tuple[MethodConfig, ...]) -> str:
    return "+".join(step.label for step in chain)
