"""Rounding to the nearest: what every other way of quantising is compared with."""

from __future__ import annotations

from typing import Literal

from wenlu.bundle import Bundle
from wenlu.compression.calibration import Calibration
from wenlu.compression.layerwise import maps_of
from wenlu.compression.method import Compressed, QuantiseConfig
from wenlu.models.quantised import quantise_linears
from wenlu.progress import QUIET, Progress


class RtnConfig(QuantiseConfig):
    """Each weight becomes the nearest number of its grid; no text is read."""

    method: Literal["rtn"] = "rtn"


def round_to_nearest(
    bundle: Bundle,
    config: RtnConfig,
    calibration: Calibration | None = None,  # noqa: ARG001  (as all methods)
    progress: Progress = QUIET,
) -> Compressed:
    """Quantise the maps of the bundle's model in place; raises UsageError, WeightsError as `layerwise`."""
    names = maps_of(bundle)
    progress.start(config.label, total=len(names), unit="layers")
    quantise_linears(bundle.model, config.grid, names)
    progress.finish(f"{len(names)} layers")
    return Compressed(bundle)
