"""What every way of making a model smaller has: settings, a label, and what it came to."""

from __future__ import annotations

from abc import abstractmethod
from dataclasses import dataclass
from typing import Any, ClassVar, Literal

from pydantic import PositiveInt

from wenlu.bundle import Bundle
from wenlu.config import Config
from wenlu.models.quantised import GridConfig

Kind = Literal["vocabulary", "int8", "w8a8", "int4", "pruned", "low-rank", "cut"]
"""Of an artefact: says how near it has to be to its model."""


class MethodConfig(Config):
    """Settings of one step of a chain.

    Attributes:
        method: its name.
    """

    is_calibrated: ClassVar[bool] = False
    """Whether it reads texts."""

    method: str

    @property
    @abstractmethod
    def label(self) -> str:
        """As the step is called in a table and in the name of a folder; `read_option` reads it."""

    @property
    @abstractmethod
    def kind(self) -> Kind:
        """What becomes of the model."""

    @classmethod
    def read_option(cls, text: str) -> dict[str, Any] | None:  # noqa: ARG003
        """The setting that a part of a label stands for; None where it stands for none."""
        return None


class QuantiseConfig(MethodConfig):
    """What all ways of rounding share; the fields are `GridConfig`'s."""

    bits: Literal[4, 8] = 4
    group_size: PositiveInt | Literal["row"] = 64
    symmetric: bool = True
    scale_dtype: Literal["float16", "float32"] = "float16"

    @property
    def grid(self) -> GridConfig:
        return GridConfig(
            bits=self.bits, group_size=self.group_size, symmetric=self.symmetric, scale_dtype=self.scale_dtype
        )

    @property
    def label(self) -> str:
        usual = QuantiseConfig.model_fields
        group = "" if self.group_size == usual["group_size"].default else f"-g{self.group_size}"
        return f"{self.method}-int{self.bits}{group}{'' if self.symmetric else '-asym'}"

    @property
    def kind(self) -> Kind:
        return "int8" if self.bits == 8 else "int4"

    @classmethod
    def read_option(cls, text: str) -> dict[str, Any] | None:
        if text in ("int4", "int8"):
            return {"bits": int(text[3:])}
        if text == "grow":
            return {"group_size": "row"}
        if text[:1] == "g" and text[1:].isdecimal():
            return {"group_size": int(text[1:])}
        return {"symmetric": False} if text == "asym" else None


@dataclass(frozen=True)
class LayerError:
    """How far the outputs of one linear map moved on the calibration texts: ‖WX − ŴX‖² / ‖WX‖²."""

    name: str
    error: float


@dataclass(frozen=True)
class Compressed:
    """What a step made of a model. `layers`: of methods that read texts."""

    bundle: Bundle
    layers: tuple[LayerError, ...] = ()
