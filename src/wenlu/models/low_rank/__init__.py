"""Linear maps through a narrow middle."""

from wenlu.models.low_rank.layer import LowRankLinear, low_rank_layers, multiplied_out

__all__ = ["LowRankLinear", "low_rank_layers", "multiplied_out"]
