"""Wenlu (文炉): a language model's whole life on its owner's machine.

Each verb of the command line is a function here; `load` returns a model with its tokenizer and task, `ask` what a
model says to texts. Nothing heavy is imported until it is used.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from wenlu.bundle import Bundle
    from wenlu.bundle import load_any as load
    from wenlu.cli.doctor import examine as doctor
    from wenlu.evaluation.comparison import compare
    from wenlu.explanation.explain import explain
    from wenlu.lifecycle.compressing.sweep import compress
    from wenlu.lifecycle.export import export
    from wenlu.lifecycle.parity import parity
    from wenlu.lifecycle.planning.plan import plan
    from wenlu.lifecycle.search.tune import tune
    from wenlu.lifecycle.verbs import (
        ask,
        chat,
        check,
        data,
        evaluate,
        finetune,
        predict,
        pretrain,
        run,
        runs,
        tokenizer,
    )
    from wenlu.server.serving import serve

_HOMES = {
    "Bundle": ("wenlu.bundle", "Bundle"),
    "compare": ("wenlu.evaluation.comparison", "compare"),
    "compress": ("wenlu.lifecycle.compressing.sweep", "compress"),
    "doctor": ("wenlu.cli.doctor", "examine"),
    "explain": ("wenlu.explanation.explain", "explain"),
    "export": ("wenlu.lifecycle.export", "export"),
    "load": ("wenlu.bundle", "load_any"),
    "parity": ("wenlu.lifecycle.parity", "parity"),
    "plan": ("wenlu.lifecycle.planning.plan", "plan"),
    "serve": ("wenlu.server.serving", "serve"),
    "tune": ("wenlu.lifecycle.search.tune", "tune"),
    **{
        verb: ("wenlu.lifecycle.verbs", verb)
        for verb in (
            "ask",
            "chat",
            "check",
            "data",
            "evaluate",
            "finetune",
            "predict",
            "pretrain",
            "run",
            "runs",
            "tokenizer",
        )
    },
}

__version__ = "0.1.0"
__all__ = [
    "Bundle",
    "__version__",
    "ask",
    "chat",
    "check",
    "compare",
    "compress",
    "data",
    "doctor",
    "evaluate",
    "explain",
    "export",
    "finetune",
    "load",
    "parity",
    "plan",
    "predict",
    "pretrain",
    "run",
    "runs",
    "serve",
    "tokenizer",
    "tune",
]


def __getattr__(name: str) -> Any:
    if name not in _HOMES:
        raise AttributeError(f"module 'wenlu' has no attribute {name!r}")
    module, attribute = _HOMES[name]
    return getattr(import_module(module), attribute)


def __dir__() -> list[str]:
    return __all__
