"""The tiny runs of tests/training, to break."""

from __future__ import annotations

from tests.training.conftest import config, data, new_model, new_run, tokenizer, tokens

__all__ = ["config", "data", "new_model", "new_run", "tokenizer", "tokens"]
