"""Methods of attribution, one file each."""

from wenlu.explanation.methods import (
    attention,
    exact,
    input_x_gradient,
    integrated_gradients,
    occlusion,
    rollout,
    shapley,
)
from wenlu.explanation.methods.method import COMPLETE, Attribution, EffortConfig, Method

METHODS: tuple[Method, ...] = (
    input_x_gradient.METHOD,
    integrated_gradients.METHOD,
    occlusion.METHOD,
    shapley.METHOD,
    rollout.METHOD,
    attention.METHOD,
    exact.METHOD,
)

__all__ = ["COMPLETE", "METHODS", "Attribution", "EffortConfig", "Method"]
