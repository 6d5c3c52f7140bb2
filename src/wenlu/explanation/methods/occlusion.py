"""Occlusion (Zeiler & Fergus 2014, arXiv:1311.2901; leave-one-out of Li et al. 2016, arXiv:1612.08220): F(x) less F
without the unit. It promises no sum: of two units that say the same, neither is missed alone."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from wenlu.explanation.methods.method import Attribution, EffortConfig, Method
from wenlu.explanation.subject import Subject, without
from wenlu.explanation.units import Unit, on_grid


def attribute(subject: Subject, units: Sequence[Unit], config: EffortConfig) -> Attribution:  # noqa: ARG001
    groups = [(), *(unit.pieces for unit in units)]
    values = subject.ask(without(len(subject.pieces), groups)).values
    return Attribution(on_grid(np.asarray(values[0] - values[1:])), steps=len(units))


METHOD = Method("occlusion", "occlusion", "model", attribute)
