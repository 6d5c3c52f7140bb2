"""Tokenizers in older layouts: `vocab.txt` of BERT, `vocab.json` with `merges.txt` of GPT-2 and RoBERTa.

They become what `tokenizer.json` would say, so everything behind knows one form.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from tokenizers import AddedToken, Tokenizer, decoders, models, normalizers, pre_tokenizers, processors

from wenlu.errors import WeightsError

WORDPIECE = "vocab.txt"
BPE = ("vocab.json", "merges.txt")
_SENTENCEPIECE = ("tokenizer.model", "spiece.model", "sentencepiece.bpe.model")
_BERT = {"unk": "[UNK]", "sep": "[SEP]", "pad": "[PAD]", "cls": "[CLS]", "mask": "[MASK]"}
_ROBERTA = {"bos": "<s>", "eos": "</s>", "sep": "</s>", "cls": "<s>", "unk": "<unk>", "pad": "<pad>", "mask": "<mask>"}
_GPT2 = {"bos": "<|endoftext|>", "eos": "<|endoftext|>", "unk": "<|endoftext|>"}

Document = dict[str, Any]
Read = Callable[[Path], str]


def read_vocabulary_files(folder: Path, config: Mapping[str, Any], read: Read) -> tuple[Document, Document] | None:
    """The tokenizer.json and the tokenizer_config.json that such a folder means; None where it has none of the files.

    Args:
        config: tokenizer_config.json and special_tokens_map.json, as far as they are there.
        read: gives the text of a file.

    Raises:
        WeightsError: the files contradict each other, or are of SentencePiece.
    """
    if (folder / WORDPIECE).exists():
        inner, meant = _wordpiece(folder, config, read)
    elif all((folder / name).exists() for name in BPE):
        inner, meant = _byte_level(folder, config, read)
    else:
        found = next((name for name in _SENTENCEPIECE if (folder / name).exists()), None)
        if found is not None:
            raise WeightsError(
                f"{folder / found}: a model of SentencePiece alone is not read; where transformers and sentencepiece "
                f"are installed, make a tokenizer.json of it: AutoTokenizer.from_pretrained({str(folder)!r})"
                f".save_pretrained({str(folder)!r})"
            )
        return None
    document: Document = json.loads(inner.to_str())
    return document, {**meant, **config}


def _wordpiece(folder: Path, config: Mapping[str, Any], read: Read) -> tuple[Tokenizer, Document]:
    path = folder / WORDPIECE
    tokens = read(path).removesuffix("\n").split("\n")
    vocabulary = {token.rstrip("\r"): number for number, token in enumerate(tokens)}
    if len(vocabulary) < len(tokens):
        raise WeightsError(f"{path}: {len(tokens) - len(vocabulary)} of its lines stand there twice")
    roles = _roles(_BERT, config)
    _check(path, vocabulary, [roles[name] for name in ("unk", "sep", "cls")])
    inner = Tokenizer(models.WordPiece(vocabulary, unk_token=roles["unk"]))
    inner.normalizer = normalizers.BertNormalizer(
        clean_text=True,
        handle_chinese_chars=bool(config.get("tokenize_chinese_chars", True)),
        strip_accents=config.get("strip_accents"),
        lowercase=bool(config.get("do_lower_case", True)),
    )
    inner.pre_tokenizer = pre_tokenizers.BertPreTokenizer()
    inner.decoder = decoders.WordPiece(prefix="##")
    inner.add_special_tokens([AddedToken(token, special=True, normalized=False) for token in roles.values()])
    cls, sep = roles["cls"], roles["sep"]
    inner.post_processor = processors.TemplateProcessing(
        single=f"{cls}:0 $A:0 {sep}:0",
        pair=f"{cls}:0 $A:0 {sep}:0 $B:1 {sep}:1",
        special_tokens=[(cls, vocabulary[cls]), (sep, vocabulary[sep])],
    )
    return inner, {"tokenizer_class": "BertTokenizer", **_named(roles)}


def _byte_level(folder: Path, config: Mapping[str, Any], read: Read) -> tuple[Tokenizer, Document]:
    path, merges_path = (folder / name for name in BPE)
    vocabulary = _numbered(path, read(path))
    lines = [line.rstrip("\r") for line in read(merges_path).split("\n")]
    merges: list[tuple[str, str]] = []
    for number, line in enumerate(lines, start=1):
        if not line or (number == 1 and line.startswith("#version")):
            continue
        left, space, right = line.partition(" ")
        missing = next((token for token in (left, right, left + right) if token not in vocabulary), None)
        if not space or missing is not None:
            raise WeightsError(f"{merges_path}:{number}: {line!r:.80} merges what {path.name} has not: {missing!r:.80}")
        merges.append((left, right))
    is_roberta = {"<s>", "</s>", "<mask>"} <= vocabulary.keys()
    roles = _roles(_ROBERTA if is_roberta else _GPT2, config)
    prefixed = bool(config.get("add_prefix_space", False))
    inner = Tokenizer(models.BPE(vocabulary, merges, continuing_subword_prefix="", end_of_word_suffix=""))
    inner.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=prefixed)
    inner.decoder = decoders.ByteLevel()
    added = _added(folder, read)
    special = {token: token == roles.get("mask") for token in roles.values() if token in vocabulary or token in added}
    for token in sorted(added, key=added.__getitem__):
        inner.add_tokens([AddedToken(token, special=token in special, normalized=token not in special)])
        if inner.token_to_id(token) != added[token]:
            raise WeightsError(
                f"{folder / _ADDED}: {token!r:.80} has id {added[token]}, but the next free one is "
                f"{inner.token_to_id(token)}"
            )
    inner.add_special_tokens(
        [AddedToken(token, special=True, normalized=False, lstrip=strips) for token, strips in special.items()]
    )
    kept = {name: token for name, token in roles.items() if token in special}
    if not is_roberta:
        return inner, {"tokenizer_class": "GPT2Tokenizer", "add_prefix_space": prefixed, **_named(kept)}
    _check(path, vocabulary, [roles["sep"], roles["cls"]])
    sep, cls = ((roles[name], vocabulary[roles[name]]) for name in ("sep", "cls"))
    inner.post_processor = processors.RobertaProcessing(sep, cls, trim_offsets=True, add_prefix_space=prefixed)
    return inner, {"tokenizer_class": "RobertaTokenizer", "add_prefix_space": prefixed, **_named(kept)}


_ADDED = "added_tokens.json"


def _added(folder: Path, read: Read) -> dict[str, int]:
    """Tokens beyond the vocabulary, with their ids."""
    path = folder / _ADDED
    return _numbered(path, read(path)) if path.exists() else {}


def _numbered(path: Path, text: str) -> dict[str, int]:
    try:
        content = json.loads(text)
    except (ValueError, RecursionError) as error:
        raise WeightsError(f"{path}: not valid JSON ({error}); is the file complete?") from error
    if not isinstance(content, dict) or not all(type(number) is int for number in content.values()):
        raise WeightsError(f"{path}: expected a JSON object from tokens to ids")
    if len(set(content.values())) < len(content) or any(not 0 <= number < 2**24 for number in content.values()):
        raise WeightsError(f"{path}: its ids are not all different numbers from 0 to {2**24 - 1}")
    return content


def _roles(usual: Mapping[str, str], config: Mapping[str, Any]) -> dict[str, str]:
    """The special tokens by role, as the files name them, else the usual ones of the layout."""
    found = dict(usual)
    for role in (*usual, "pad"):
        value = config.get(f"{role}_token")
        value = value.get("content") if isinstance(value, dict) else value
        if isinstance(value, str) and value:
            found[role] = value
    return found


def _named(roles: Mapping[str, str]) -> Document:
    return {f"{role}_token": token for role, token in roles.items()}


def _check(path: Path, vocabulary: Mapping[str, int], tokens: list[str]) -> None:
    missing = [token for token in tokens if token not in vocabulary]
    if missing:
        raise WeightsError(f"{path}: no {missing[0]!r}; is it the vocabulary of this model?")
