"""A tokenizer with fewer tokens that cuts given texts as before, and can still write any text that it could.

In byte-pair encoding a token that is made of two others needs them, and they what they are made of: all of these stay,
with the merges that make them. A merge that makes none of them takes no part in cutting the given texts, since what it
made there would be a token of theirs, or part of one.
"""

from __future__ import annotations

import json
from collections import defaultdict
from collections.abc import Collection, Iterable, Iterator, Sequence
from typing import Any

import tokenizers

from wenlu.errors import WeightsError
from wenlu.tokenizers.files import Settings
from wenlu.tokenizers.tokenizer import Tokenizer

_BATCH = 1000
_WORD_START = "▁"


def used_ids(tokenizer: Tokenizer, texts: Iterable[str]) -> set[int]:
    """The tokens that texts are cut into."""
    found: set[int] = set()
    batch: list[str] = []
    for text in texts:
        batch.append(text)
        if len(batch) == _BATCH:
            found.update(*tokenizer.encode_batch(batch))
            batch = []
    return found.union(*tokenizer.encode_batch(batch)) if batch else found


def kept_ids(tokenizer: Tokenizer, used: Collection[int]) -> list[int]:
    """`used` with all that must stay beside them: special tokens, bytes (or single characters, where there are no bytes
    to write others with), and what tokens are made of. In the order of the vocabulary."""
    document = tokenizer.document
    names = names_of(document)
    known = {name: id for id, name in names.items()}
    kept = set(used) | {token["id"] for token in document["added_tokens"]}
    kept |= {known[name] for name in _named_by_framing(document["post_processor"]) if name in known}
    kept |= {known[token] for token in tokenizer.roles.tokens() if token in known}
    kept |= {id for id, name in names.items() if _is_letter(name, document)}
    kept |= {id for id in (_unknown(document["model"], known),) if id is not None}
    makers: dict[str, list[str]] = defaultdict(list)
    for left, right, result in _merges(document["model"]):
        makers[result] += [left, right]
    waiting = [names[id] for id in kept]
    while waiting:
        for part in makers[waiting.pop()]:
            if known[part] not in kept:
                kept.add(known[part])
                waiting.append(part)
    return sorted(kept)


def narrowed(tokenizer: Tokenizer, kept: Sequence[int]) -> Tokenizer:
    """The tokenizer with these tokens alone, numbered anew in this order; `kept` is of `kept_ids`.

    Raises WeightsError where the library numbers them otherwise.
    """
    document = tokenizer.document
    names = names_of(document)
    new = {old: place for place, old in enumerate(kept)}
    stay = {names[old]: place for old, place in new.items()}
    model = document["model"]
    if isinstance(model["vocab"], list):
        model["vocab"] = [model["vocab"][old] for old in kept if old < len(model["vocab"])]
        if model.get("unk_id") is not None:
            model["unk_id"] = new[model["unk_id"]]
    else:
        model["vocab"] = {name: stay[name] for name in model["vocab"] if name in stay}
    if "merges" in model:
        model["merges"] = [
            [left, right] for left, right, result in _merges(model) if {left, right, result} <= stay.keys()
        ]
    for token in document["added_tokens"]:
        token["id"] = new[token["id"]]
    _renumber(document["post_processor"], stay)
    inner = tokenizers.Tokenizer.from_str(json.dumps(document))
    wrong = [name for name, id in stay.items() if inner.token_to_id(name) != id]
    if wrong:
        raise WeightsError(f"the tokenizer numbers its tokens by rules of its own, as {wrong[0]!r}; it stays as it is")
    return Tokenizer(inner, tokenizer.roles, _settings(tokenizer.settings, new))


def names_of(document: dict[str, Any]) -> dict[int, str]:
    """Every token by its number."""
    vocab = document["model"]["vocab"]
    if isinstance(vocab, list):
        found = {id: str(piece[0]) for id, piece in enumerate(vocab)}
    else:
        found = {id: name for name, id in vocab.items()}
    return found | {token["id"]: token["content"] for token in document["added_tokens"]}


def _merges(model: dict[str, Any]) -> Iterator[tuple[str, str, str]]:
    """Left, right and what they make."""
    prefix = model.get("continuing_subword_prefix") or ""
    for merge in model.get("merges", ()):
        left, right = merge.split(" ", 1) if isinstance(merge, str) else merge
        yield left, right, left + right.removeprefix(prefix)


def _is_letter(name: str, document: dict[str, Any]) -> bool:
    """Whether other tokens can be written with it: a byte, or a single character where there are no bytes."""
    model = document["model"]
    if model.get("byte_fallback"):
        return len(name) == 6 and name.startswith("<0x") and name.endswith(">")
    bare = name.removeprefix(model.get("continuing_subword_prefix") or "").removeprefix(_WORD_START)
    return len(bare or name) == 1


def _unknown(model: dict[str, Any], known: dict[str, int]) -> int | None:
    token = model.get("unk_token")
    return model.get("unk_id") if token is None else known.get(token)


def _named_by_framing(processor: dict[str, Any] | None) -> Iterator[str]:
    """Tokens that tokenizer.json puts around texts."""
    for each in _processors(processor):
        for row in each.get("special_tokens", {}).values():
            yield from row["tokens"]
        for key in ("cls", "sep"):
            if key in each:
                yield each[key][0]


def _renumber(processor: dict[str, Any] | None, stay: dict[str, int]) -> None:
    for each in _processors(processor):
        for row in each.get("special_tokens", {}).values():
            row["ids"] = [stay[token] for token in row["tokens"]]
        for key in ("cls", "sep"):
            if key in each:
                each[key] = [each[key][0], stay[each[key][0]]]


def _processors(processor: dict[str, Any] | None) -> Iterator[dict[str, Any]]:
    if processor is not None:
        yield from processor.get("processors", [processor])


def _settings(settings: Settings, new: dict[int, int]) -> Settings:
    """tokenizer_config.json, which may number added tokens too."""
    config = dict(settings.config)
    numbered = config.get("added_tokens_decoder")
    if isinstance(numbered, dict):
        config["added_tokens_decoder"] = {str(new[int(id)]): row for id, row in numbered.items() if int(id) in new}
    return Settings(config, settings.template)
