"""Settings of a tokenizer: what does not fit together is refused, with the reason."""

from typing import Any

import pytest

from wenlu.config import check
from wenlu.errors import ConfigError
from wenlu.tokenizers import TokenizerConfig


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        (
            {"kind": "bpe", "vocab_size": 200},
            "vocab_size = 200 is too small: bpe with 2 special tokens starts from 258",
        ),
        ({"kind": "unigram", "vocab_size": 300}, "vocab_size = 300 is too small: unigram with 2 special tokens"),
        (
            {"kind": "unigram", "vocab_size": "auto"},
            "vocab_size = 'auto' is for bpe, char and word; give unigram a number, for example 4096",
        ),
        ({"kind": "char", "pattern": "gpt2"}, "pattern = 'gpt2' has no effect on char; it is for bpe and unigram"),
        ({"segmentation": "rjieba"}, "segmentation = 'rjieba' has no effect on bpe; it is for word"),
        ({"pad_token": ""}, "special token '' is empty or starts or ends with a space"),
        ({"kind": "word", "unk_token": "<|pad|>"}, "unk_token '<|pad|>' has another role too"),
        ({"vocabsize": 3}, "vocabsize: unknown key; did you mean vocab_size?"),
        ({"kind": "bpee"}, "kind: input should be 'bpe', 'unigram', 'wordpiece', 'char' or 'word', not 'bpee'"),
    ],
)
def test_a_contradiction_is_named(settings: dict[str, Any], message: str) -> None:
    with pytest.raises(ConfigError) as error:
        check(TokenizerConfig, settings, where="test.toml")
    assert message in str(error.value)


def test_special_tokens_are_listed_once_and_unknown_only_where_it_can_happen() -> None:
    assert TokenizerConfig(kind="bpe").special_tokens == ("<|endoftext|>", "<|pad|>")
    word = TokenizerConfig(kind="word", bos_token="<|begin|>", extra_special_tokens=("<|user|>", "<|pad|>"))
    assert word.special_tokens == ("<|endoftext|>", "<|begin|>", "<|pad|>", "<|unk|>", "<|user|>")
