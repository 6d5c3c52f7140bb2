"""GGUF files, the format of llama.cpp: read without trust, written whole."""

from wenlu.models.weights.gguf.header import Header, read_header
from wenlu.models.weights.gguf.load import load_gguf
from wenlu.models.weights.gguf.write import FileType, write_gguf

__all__ = ["FileType", "Header", "load_gguf", "read_header", "write_gguf"]
