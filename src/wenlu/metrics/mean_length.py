"""Mean length: how many words a model's answers have."""

from __future__ import annotations

from collections.abc import Sequence

from wenlu.metrics.mean import columns_for_means, mean_of
from wenlu.metrics.metric import Columns, Metric
from wenlu.metrics.text_units import Segmentation, units_convention, units_of


def mean_length(language: str, *, segmentation: Segmentation = "characters") -> Metric:
    """In the units of the other metrics; neither long nor short is better by itself."""
    return Metric(
        name="mean_length",
        unit="units/text",
        better="neither",
        needs=("length", "examples"),
        compute=mean_of("length"),
        signature=f"mean_length|{units_convention(language, segmentation)}|v1",
        source="Li, Galley, Brockett, Gao & Dolan 2016, A diversity-promoting objective function, arXiv:1510.03055",
    )


def mean_length_columns(
    predictions: Sequence[str], language: str, *, segmentation: Segmentation = "characters"
) -> Columns:
    """`length`, how many units each text has, and `examples`."""
    return columns_for_means({"length": [len(units_of(text, language, segmentation)) for text in predictions]})
