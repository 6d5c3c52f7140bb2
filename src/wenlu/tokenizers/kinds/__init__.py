"""Kinds of vocabulary, one file each."""

from wenlu.tokenizers.kinds import bpe, char, unigram, word, wordpiece
from wenlu.tokenizers.kinds.kind import Kind

KINDS: tuple[Kind, ...] = (bpe.KIND, unigram.KIND, wordpiece.KIND, char.KIND, word.KIND)

__all__ = ["KINDS", "Kind"]
