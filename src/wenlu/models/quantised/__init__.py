"""Models that hold some of their weights as whole numbers of eight or four bits."""

from wenlu.models.quantised.grid import Grid, GridConfig
from wenlu.models.quantised.linear import QuantisedLinear
from wenlu.models.quantised.model import (
    count_weights,
    dequantised,
    linear_of,
    put,
    quantisable,
    quantise_linears,
    quantised_layers,
    weight_bytes,
)

__all__ = [
    "Grid",
    "GridConfig",
    "QuantisedLinear",
    "count_weights",
    "dequantised",
    "linear_of",
    "put",
    "quantisable",
    "quantise_linears",
    "quantised_layers",
    "weight_bytes",
]
