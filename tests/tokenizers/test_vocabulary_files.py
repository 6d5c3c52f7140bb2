"""Folders with the older vocabulary files give the ids that transformers gives."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
import tokenizers
import transformers

from wenlu.errors import WeightsError
from wenlu.tokenizers import Tokenizer, TokenizerConfig, train_tokenizer

TEXTS = [
    "The naïve Café-owner said: \"it's 3.14, isn't it?\"",
    "今天天气很好，我们去公园。",
    "emoji 🙂👩‍👩‍👧 and ﬁne\u00a0print\t\n\n  end ",
    "def f(x):\n    return x[::-1]  # <s> is no token </s>",
    "",
    "   ",
]
CORPUS = [*TEXTS, "the cat sat on the mat and the hat", "我们 公园 天气"] * 3


def write_wordpiece(folder: Path, **config: Any) -> None:
    special = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]"]
    settings = TokenizerConfig(
        kind="wordpiece", vocab_size=130, min_frequency=1, lowercase=config.get("do_lower_case", True),
        unk_token="[UNK]", pad_token="[PAD]", bos_token="[CLS]", eos_token="[SEP]", extra_special_tokens=("[MASK]",),
    )  # fmt: skip
    learnt = train_tokenizer(settings, CORPUS)._inner.get_vocab(with_added_tokens=False)
    words = [token for token in sorted(learnt, key=learnt.__getitem__) if token not in special]
    (folder / "vocab.txt").write_text("\n".join([*special, *words]) + "\n", encoding="utf-8")
    if config:
        (folder / "tokenizer_config.json").write_text(json.dumps(config), encoding="utf-8")


def write_bpe(folder: Path, special: list[str], **config: Any) -> None:
    inner = tokenizers.ByteLevelBPETokenizer()
    inner.train_from_iterator(CORPUS, vocab_size=330, min_frequency=1, special_tokens=special, show_progress=False)
    inner.save_model(str(folder))
    if config:
        (folder / "tokenizer_config.json").write_text(json.dumps(config), encoding="utf-8")


ROBERTA = ["<s>", "<pad>", "</s>", "<unk>", "<mask>"]
LAYOUTS = {
    "BERT": (lambda f: write_wordpiece(f), transformers.BertTokenizer),
    "BERT, cased": (lambda f: write_wordpiece(f, do_lower_case=False), transformers.BertTokenizer),
    "BERT, accents": (lambda f: write_wordpiece(f, strip_accents=False), transformers.BertTokenizer),
    "GPT-2": (lambda f: write_bpe(f, ["<|endoftext|>"]), transformers.GPT2Tokenizer),
    "GPT-2, a space first": (
        lambda f: write_bpe(f, ["<|endoftext|>"], add_prefix_space=True), transformers.GPT2Tokenizer
    ),
    "RoBERTa": (lambda f: write_bpe(f, ROBERTA), transformers.RobertaTokenizer),
}  # fmt: skip


@pytest.mark.parametrize("layout", LAYOUTS)
def test_the_ids_are_those_of_transformers(layout: str, tmp_path: Path) -> None:
    write, oracle = LAYOUTS[layout]
    write(tmp_path)
    ours, theirs = Tokenizer.load(tmp_path), oracle.from_pretrained(tmp_path)
    for text in TEXTS:
        plain = text.replace("<s>", "s").replace("</s>", "s")
        assert ours.encode(plain) == theirs.encode(plain, add_special_tokens=False), plain
    assert (ours.roles.bos, ours.roles.eos) == (
        theirs.bos_token or theirs.cls_token,
        theirs.eos_token or theirs.sep_token,
    )
    assert set(ours.special_tokens.values()) == set(theirs.all_special_ids)


@pytest.mark.parametrize("layout", LAYOUTS)
def test_what_is_saved_is_the_same_tokenizer_to_both(layout: str, tmp_path: Path) -> None:
    LAYOUTS[layout][0](tmp_path)
    ours = Tokenizer.load(tmp_path)
    ours.save(tmp_path / "new")
    again, theirs = Tokenizer.load(tmp_path / "new"), transformers.AutoTokenizer.from_pretrained(tmp_path / "new")
    assert again.fingerprint == ours.fingerprint
    for text in TEXTS[:3]:
        assert theirs.encode(text, add_special_tokens=False) == ours.encode(text) == again.encode(text)
        assert len(theirs.encode(text)) == len(ours.encode(text)) + (0 if "GPT-2" in layout else 2)


def test_added_tokens_keep_their_ids(tmp_path: Path) -> None:
    write_bpe(tmp_path, ["<|endoftext|>"])
    size = len(json.loads((tmp_path / "vocab.json").read_text(encoding="utf-8")))
    (tmp_path / "added_tokens.json").write_text(json.dumps({"<two>": size + 1, "<one>": size}), encoding="utf-8")
    ours, theirs = Tokenizer.load(tmp_path), transformers.GPT2Tokenizer.from_pretrained(tmp_path)
    assert ours.encode("a<two><one>") == theirs.encode("a<two><one>")
    (tmp_path / "added_tokens.json").write_text(json.dumps({"<one>": size + 7}), encoding="utf-8")
    with pytest.raises(WeightsError, match=rf"'<one>' has id {size + 7}, but the next free one is {size}"):
        Tokenizer.load(tmp_path)


def test_damage_is_named(tmp_path: Path) -> None:
    write_bpe(tmp_path, ["<|endoftext|>"])
    merges = (tmp_path / "merges.txt").read_text(encoding="utf-8")
    (tmp_path / "merges.txt").write_text("#version: 0.2\nxx yy\n", encoding="utf-8")
    with pytest.raises(WeightsError, match=r"merges.txt:2: 'xx yy' merges what vocab.json has not: 'xx'"):
        Tokenizer.load(tmp_path)
    (tmp_path / "merges.txt").write_text(merges, encoding="utf-8")
    for content, complaint in (
        ("[1]", "expected a JSON object"),
        ('{"a": 1, "b": 1}', "not all different"),
        ("{", "not valid JSON"),
    ):
        (tmp_path / "vocab.json").write_text(content, encoding="utf-8")
        with pytest.raises(WeightsError, match=complaint):
            Tokenizer.load(tmp_path)
    (tmp_path / "vocab.txt").write_text("a\nb\na\n", encoding="utf-8")
    with pytest.raises(WeightsError, match="1 of its lines stand there twice"):
        Tokenizer.load(tmp_path)
    (tmp_path / "vocab.txt").write_text("a\nb\n", encoding="utf-8")
    with pytest.raises(WeightsError, match=r"vocab.txt: no '\[UNK\]'; is it the vocabulary of this model\?"):
        Tokenizer.load(tmp_path)


def test_sentencepiece_alone_is_refused_with_the_way_to_convert_it(tmp_path: Path) -> None:
    (tmp_path / "tokenizer.model").write_bytes(b"\x0a")
    with pytest.raises(WeightsError, match=r"SentencePiece alone is not read; .* AutoTokenizer.from_pretrained"):
        Tokenizer.load(tmp_path)
    with pytest.raises(WeightsError, match=r"no such file; a tokenizer is a tokenizer\.json"):
        Tokenizer.load(tmp_path / "nothing")
