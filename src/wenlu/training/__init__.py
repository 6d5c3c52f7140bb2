"""Training: the loop, optimizers, schedules, probe, resume."""

from wenlu.training.bigrams import check_bigram_start, start_from_bigrams
from wenlu.training.budget import Budget, nats_of
from wenlu.training.checkpoints import gathered
from wenlu.training.config import TrainConfig
from wenlu.training.footprint import fitted
from wenlu.training.frozen import freeze
from wenlu.training.hardware import choose_device, choose_dtype, choose_threads
from wenlu.training.optimizers import OPTIMIZERS, AdamWConfig, OptimizerConfig, OptimizerField
from wenlu.training.placing import placed
from wenlu.training.probe import resolve_duration
from wenlu.training.schedule import ScheduleConfig
from wenlu.training.state import TrainState
from wenlu.training.train import TrainData, train
from wenlu.training.vectors import check_vectors_start, start_from_vectors

__all__ = [
    "OPTIMIZERS",
    "AdamWConfig",
    "Budget",
    "OptimizerConfig",
    "OptimizerField",
    "ScheduleConfig",
    "TrainConfig",
    "TrainData",
    "TrainState",
    "check_bigram_start",
    "check_vectors_start",
    "choose_device",
    "choose_dtype",
    "choose_threads",
    "fitted",
    "freeze",
    "gathered",
    "nats_of",
    "placed",
    "resolve_duration",
    "start_from_bigrams",
    "start_from_vectors",
    "train",
]
