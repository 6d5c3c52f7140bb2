"""Run Python programs of unknown origin behind walls that the Linux kernel gives."""

from wenlu.evaluation.sandbox.outcome import Limits, Outcome, Reason
from wenlu.evaluation.sandbox.run import run_many, run_tests, walls
from wenlu.evaluation.sandbox.wall import PROTECTIONS, WALLS

__all__ = ["PROTECTIONS", "WALLS", "Limits", "Outcome", "Reason", "run_many", "run_tests", "walls"]
