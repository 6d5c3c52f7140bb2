"""What an answer must look like: a JSON Schema, a regular expression, a grammar, or one of several texts."""

from wenlu.generation.guides.compiled import Compiled, compile_guide
from wenlu.generation.guides.guide import Guide

__all__ = ["Compiled", "Guide", "compile_guide"]
