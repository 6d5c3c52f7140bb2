"""Optimizers: settings, and torch's implementations behind one object."""

from wenlu.training.optimizers.build import Optimizer
from wenlu.training.optimizers.config import OptimizerConfig

__all__ = ["Optimizer", "OptimizerConfig"]
