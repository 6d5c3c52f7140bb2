from __future__ import annotations

import ast
import importlib
import pkgutil
import subprocess
import sys
from pathlib import Path

import pytest

import wenlu
from wenlu.cli import app as cli

VERBS = [
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
PUBLIC = sorted(["Bundle", "__version__", "ask", "load", *VERBS])


def test_the_public_names_are_exactly_these() -> None:
    assert wenlu.__all__ == PUBLIC
    assert dir(wenlu) == PUBLIC


def test_every_verb_stays_a_function_after_every_module_is_imported() -> None:
    for module in pkgutil.walk_packages(wenlu.__path__, "wenlu."):
        importlib.import_module(module.name)
    for name in PUBLIC:
        assert name == "__version__" or callable(getattr(wenlu, name)), name


def test_an_unknown_name_is_an_attribute_error() -> None:
    with pytest.raises(AttributeError, match="module 'wenlu' has no attribute 'trian'"):
        wenlu.trian  # noqa: B018


def test_help_imports_neither_torch_nor_numpy() -> None:
    script = (
        "import sys\n"
        "from wenlu.cli.app import app\n"
        "try:\n    app(['--help'])\nexcept SystemExit:\n    pass\n"
        "print('heavy:', sorted({'torch', 'numpy', 'pydantic', 'tokenizers'} & set(sys.modules)))"
    )
    result = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True)
    assert result.stdout.splitlines()[-1] == "heavy: []"
    assert "pretrain" in result.stdout


def test_every_verb_of_the_command_line_is_a_function_of_the_package() -> None:
    assert {verb.__name__ for verb, _ in cli.VERBS} == set(VERBS)


UNPICKLERS = {"pickle", "_pickle", "cPickle", "dill", "cloudpickle", "joblib", "shelve"}


def test_no_module_can_read_a_pickle() -> None:
    """Neither by a module that does, nor by torch.load, nor by NumPy where it is allowed to."""
    found = []
    for path in sorted(Path(wenlu.__file__).parent.rglob("*.py")):
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            match node:
                case ast.Import(names=names):
                    named = {name.name.partition(".")[0] for name in names}
                case ast.ImportFrom(module=str(module)):
                    named = {module.partition(".")[0]}
                case ast.Attribute(value=ast.Name(id="torch"), attr="load"):
                    named = {"pickle"}
                case ast.keyword(arg="allow_pickle", value=value):
                    named = set() if isinstance(value, ast.Constant) and value.value is False else {"pickle"}
                case _:
                    continue
            if named & UNPICKLERS:
                found.append(f"{path}:{getattr(node, 'lineno', '?')}")
    assert found == []
