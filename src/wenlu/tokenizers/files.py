"""A tokenizer's files, in the layout of Hugging Face."""

from __future__ import annotations

import json
import os
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import tokenizers

from wenlu.errors import ResourceError, WeightsError
from wenlu.tokenizers.vocabulary_files import read_vocabulary_files

VOCABULARY = "tokenizer.json"
CONFIG = "tokenizer_config.json"
ROLES = "special_tokens_map.json"
TEMPLATE = "chat_template.jinja"
OLDER_TEMPLATE = "chat_template.json"
"""Where processors of pictures and words kept theirs before, as `chat_template`."""

# What the field calls these tokens, for a tokenizer.json that comes without the files that name them.
_USUAL = {
    "bos": ("<s>", "<bos>", "<|begin_of_text|>", "<|startoftext|>", "<|endoftext|>", "[CLS]"),
    "eos": ("</s>", "<eos>", "<|end_of_text|>", "<|endoftext|>", "[SEP]"),
    "pad": ("<pad>", "<|pad|>", "[PAD]"),
    "unk": ("<unk>", "<|unk|>", "[UNK]"),
}


@dataclass(frozen=True)
class Roles:
    """The tokens that begin and end a text, pad it, and stand for what is unknown."""

    bos: str | None = None
    eos: str | None = None
    pad: str | None = None
    unk: str | None = None

    def tokens(self) -> Iterator[str]:
        return (token for token in (self.bos, self.eos, self.pad, self.unk) if token is not None)


@dataclass(frozen=True)
class Settings:
    """What else lies beside the vocabulary, kept so that saving loses nothing.

    Attributes:
        config: tokenizer_config.json.
        template: chat_template.jinja.
    """

    config: Mapping[str, Any] = field(default_factory=dict)
    template: str | None = None


def read_folder(path: Path) -> tuple[tokenizers.Tokenizer, Roles, Settings]:
    """Read a tokenizer.json and what lies beside it; raises WeightsError."""
    file = path / VOCABULARY if path.is_dir() else path
    config = _object(file.parent / CONFIG) if (file.parent / CONFIG).exists() else {}
    named = _object(file.parent / ROLES) if (file.parent / ROLES).exists() else {}
    if file.exists():
        document = _object(file)
    else:
        older = read_vocabulary_files(path, {**named, **config}, _text) if path.is_dir() else None
        if older is None:
            raise WeightsError(f"{file}: no such file; a tokenizer is a {VOCABULARY}, or a folder that has one")
        document, config = older
    inner = _parse(document, file)
    if not inner.get_vocab_size():
        raise WeightsError(f"{file}: its vocabulary is empty; is the file complete?")
    roles = _roles(document, {**named, **config}, inner)
    for token in roles.tokens():
        if inner.token_to_id(token) is None:
            raise WeightsError(
                f"{file.parent / CONFIG}: special token {token!r} is not in the vocabulary of {file.name}; "
                f"add it there, or remove it from {CONFIG} and {ROLES}"
            )
    return inner, roles, Settings(config, _template(file.parent))


def write_folder(folder: Path, inner: tokenizers.Tokenizer, roles: Roles, settings: Settings) -> None:
    """Write the files that `read_folder` and `transformers` read; raises ResourceError."""
    named = {f"{name}_token": token for name, token in vars(roles).items() if token is not None}
    config = {"tokenizer_class": "PreTrainedTokenizerFast", "clean_up_tokenization_spaces": False}
    contents = {
        VOCABULARY: inner.to_str(pretty=True),
        CONFIG: _dump({**config, **settings.config, **named}),
        ROLES: _dump(named),
    }
    if settings.template is not None:
        contents[TEMPLATE] = settings.template
    try:
        folder.mkdir(parents=True, exist_ok=True)
        for name, content in contents.items():
            partial = folder / f".{name}.partial"
            partial.write_text(content, encoding="utf-8")
            os.replace(partial, folder / name)
    except OSError as error:
        raise ResourceError(f"{folder}: cannot write the tokenizer: {error.strerror}") from error


def _template(folder: Path) -> str | None:
    """What a file of its own says of how messages are written."""
    if (folder / TEMPLATE).exists():
        return _text(folder / TEMPLATE)
    if not (folder / OLDER_TEMPLATE).exists():
        return None
    template = _object(folder / OLDER_TEMPLATE).get("chat_template")
    if not isinstance(template, str):
        raise WeightsError(f"{folder / OLDER_TEMPLATE}: chat_template is {type(template).__name__}, not a text")
    return template


def _object(file: Path) -> dict[str, Any]:
    try:
        value = json.loads(_text(file))
    except (ValueError, RecursionError) as error:  # ValueError: also endless numbers
        raise WeightsError(f"{file}: not valid JSON ({error}); is the file complete?") from error
    if not isinstance(value, dict):
        raise WeightsError(f"{file}: a JSON object is expected, not {type(value).__name__}")
    return value


def _text(file: Path) -> str:
    try:
        return file.read_text(encoding="utf-8")
    except UnicodeDecodeError as error:
        raise WeightsError(f"{file}: not UTF-8 text (byte {error.start}); is it really a tokenizer?") from error
    except OSError as error:
        raise ResourceError(f"{file}: cannot read it: {error.strerror}") from error


def _parse(document: dict[str, Any], file: Path) -> tokenizers.Tokenizer:
    try:
        _refuse_broken_merges(document)
        return tokenizers.Tokenizer.from_str(json.dumps(document))
    except BaseException as error:
        # The library raises plain Exception for bad files, and its panics derive from BaseException.
        if not (type(error) in (Exception, ValueError) or type(error).__name__ == "PanicException"):
            raise
        raise WeightsError(f"{file}: not a tokenizer that can be read: {error}") from error


def _refuse_broken_merges(document: dict[str, Any]) -> None:
    """Merges whose result is no token make the library panic, with a trace on stderr."""
    model = document.get("model")
    if not isinstance(model, dict) or not isinstance(model.get("merges"), list) or not isinstance(model["vocab"], dict):
        return
    prefix = model.get("continuing_subword_prefix") or ""
    for merge in model["merges"]:
        left, right = merge.split(" ", 1) if isinstance(merge, str) else merge
        result = left + right.removeprefix(prefix)
        missing = [token for token in (left, right, result) if token not in model["vocab"]]
        if missing:
            raise ValueError(f"merge {left!r} + {right!r}: {missing[0]!r} is not in the vocabulary")


def _roles(document: dict[str, Any], named: dict[str, Any], inner: tokenizers.Tokenizer) -> Roles:
    """Roles as the files name them, else by the usual names of special tokens."""
    told = {role: content_of(named.get(f"{role}_token")) for role in ("bos", "eos", "pad", "unk", "cls", "sep")}
    if any(told.values()):
        return Roles(told["bos"] or told["cls"], told["eos"] or told["sep"], told["pad"], told["unk"])
    special = {token.content for token in inner.get_added_tokens_decoder().values() if token.special}
    found = {role: next((name for name in names if name in special), None) for role, names in _USUAL.items()}
    model = document["model"]
    if not model.get("byte_fallback"):
        unk_id = model.get("unk_id")
        found["unk"] = model.get("unk_token") or (inner.id_to_token(unk_id) if unk_id is not None else found["unk"])
    return Roles(**found)


def content_of(value: object) -> str | None:
    """A token as text, or as an object that has it as `content`."""
    if isinstance(value, dict):
        value = value.get("content")
    return value if isinstance(value, str) and value else None


def _dump(value: Mapping[str, Any]) -> str:
    return json.dumps(value, ensure_ascii=False, indent=2) + "\n"
