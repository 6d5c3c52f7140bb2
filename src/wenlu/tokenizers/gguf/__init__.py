"""Tokenizers in GGUF headers, read from and written as plain metadata."""

from wenlu.tokenizers.gguf.read import tokenizer_of
from wenlu.tokenizers.gguf.write import metadata_of

__all__ = ["metadata_of", "tokenizer_of"]
