"""Tokenizers: train, load, encode, decode, measure."""

from wenlu.tokenizers.config import TokenizerConfig
from wenlu.tokenizers.decoding import TokenStream
from wenlu.tokenizers.default_chat import ROLE_TOKENS, end_of_turn, with_chat_template
from wenlu.tokenizers.extension import extended, spelt
from wenlu.tokenizers.fertility import FertilityReport, LanguageFertility, fertility
from wenlu.tokenizers.kinds import KINDS, Kind
from wenlu.tokenizers.spanned import Span, Spanned
from wenlu.tokenizers.tokenizer import Tokenizer
from wenlu.tokenizers.train import train_tokenizer
from wenlu.tokenizers.words import count_words

__all__ = [
    "KINDS",
    "ROLE_TOKENS",
    "FertilityReport",
    "Kind",
    "LanguageFertility",
    "Span",
    "Spanned",
    "TokenStream",
    "Tokenizer",
    "TokenizerConfig",
    "count_words",
    "end_of_turn",
    "extended",
    "fertility",
    "spelt",
    "train_tokenizer",
    "with_chat_template",
]
