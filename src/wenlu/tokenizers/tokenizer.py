"""Text to token ids and back."""

from __future__ import annotations

import json
import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from functools import cached_property
from hashlib import blake2b
from itertools import chain, pairwise
from pathlib import Path
from typing import Any, Self

import numpy as np
import tokenizers

from wenlu.errors import DataError, UsageError
from wenlu.tokenizers.byte_pairs import RANK_BYTES, BytePairs, Counts, Ids, byte_pairs
from wenlu.tokenizers.chat_template import ChatTemplate, Message, Special, read_chat_template
from wenlu.tokenizers.decoding import Pieces, TokenStream, rules_of
from wenlu.tokenizers.files import Roles, Settings, content_of, read_folder, write_folder
from wenlu.tokenizers.framing import frame_of, pair_frame_of, with_end
from wenlu.tokenizers.framing import rules_of as cutting_rules
from wenlu.tokenizers.spanned import Spanned, joined, without_spaces

# The library needs about 100 bytes of memory a character while it encodes.
_CHARACTERS_A_BATCH = 1 << 20
_CHARACTERS_A_PART = 1 << 18
_CHARACTERS_SEARCHED = 1 << 12
_CHARACTERS_IN_BULK = 1 << 16
"""From here on it pays to prepare `BytePairs`, which takes as long as `tokenizers` needs for a megabyte or two."""
_BETWEEN_WORDS = re.compile(r"(?<=\w) (?=\w)")


class Tokenizer:
    """A vocabulary, how text is cut into it, and which of its tokens mark the ends of a text.

    Args:
        inner: the Hugging Face tokenizer; its truncation, padding and dropout are turned off.
        roles: which tokens begin and end a text, pad it, and stand for what is unknown.
        settings: what tokenizer_config.json says beyond that, kept for `save`.
    """

    def __init__(self, inner: tokenizers.Tokenizer, roles: Roles, settings: Settings | None = None) -> None:
        inner.no_truncation()
        inner.no_padding()
        if isinstance(inner.model, tokenizers.models.BPE):
            inner.model.dropout = None
        inner.encode_special_tokens = True  # text that looks like a special token is text
        self._inner = inner
        self.settings = settings or Settings()
        self.roles = roles
        marked = {i for i, token in inner.get_added_tokens_decoder().items() if token.special}
        named = {inner.token_to_id(token) for token in roles.tokens()}
        special = frozenset(marked | {i for i in named if i is not None})
        self.special_tokens: Mapping[str, int] = {str(inner.id_to_token(i)): i for i in sorted(special)}
        self.vocab_size = max(inner.get_vocab(with_added_tokens=True).values()) + 1
        self.unk_id = self._id(roles.unk)
        self.eos_id = self._id(roles.eos)
        self.bos_id = self._id(roles.bos if roles.bos is not None else roles.eos)
        self.pad_id = self._id(roles.pad)
        self._control = special - {self.unk_id}
        decoder = json.loads(inner.to_str())["decoder"]
        self._pieces = Pieces(rules_of(decoder), inner.id_to_token, special, self.vocab_size)

    @classmethod
    def load(cls, path: Path) -> Self:
        """Read a tokenizer.json, or a folder that has one; raises WeightsError."""
        return cls(*read_folder(path))

    def save(self, folder: Path) -> None:
        """Write tokenizer.json, tokenizer_config.json and special_tokens_map.json, which `transformers` reads."""
        write_folder(folder, self._inner, self.roles, self.settings)

    def with_special(self, tokens: Sequence[str]) -> Tokenizer:
        """The same tokenizer with further special tokens, whose ids follow its own; those that it has are not added."""
        missing = [token for token in dict.fromkeys(tokens) if token not in self.special_tokens]
        if not missing:
            return self
        inner = tokenizers.Tokenizer.from_str(self._inner.to_str())
        inner.add_special_tokens(missing)
        return type(self)(inner, self.roles, self.settings)

    @property
    def opening(self) -> list[int]:
        """What stands before a prompt: BOS, or nothing where there is none or `add_bos_token` is false."""
        if self.bos_id is None or self.settings.config.get("add_bos_token") is False:
            return []
        return [self.bos_id]

    @cached_property
    def frame(self) -> tuple[list[int], list[int]]:
        """What tokenizer.json puts before and behind a text that it is asked to put into a frame; `encode` does not."""
        return frame_of(self._inner)

    @cached_property
    def pair_frame(self) -> tuple[list[int], list[int], list[int]]:
        """What tokenizer.json puts before, between and behind two texts that are read as one."""
        return pair_frame_of(self._inner)

    def closing(self) -> Tokenizer:
        """The same tokenizer; where its tokenizer.json puts nothing around a text, the end of text behind it."""
        if self.roles.eos is None or self.frame != ([], []):
            return self
        return type(self)(with_end(self._inner, self.roles.eos), self.roles, self.settings)

    def with_settings(self, settings: Settings) -> Tokenizer:
        """The same vocabulary and rules with other settings, as a chat template."""
        return type(self)(self._inner, self.roles, settings)

    @cached_property
    def marks(self) -> frozenset[str]:
        """Special tokens that a text may hold as themselves: gaps `<extra_id_0>`, masks, languages; not its ends."""
        named = {content_of(self.settings.config.get(f"{role}_token")) for role in ("cls", "sep")}
        return frozenset(self.special_tokens) - {*self.roles.tokens(), *named}

    @cached_property
    def chat_template(self) -> ChatTemplate | None:
        """How a chat model's conversations are written; None for a base model. Raises WeightsError for a broken one."""
        added = {token.content: token for token in self._inner.get_added_tokens_decoder().values()}
        specials = tuple(
            Special(name, lstrip=added[name].lstrip, rstrip=added[name].rstrip) if name in added else Special(name)
            for name in self.special_tokens
        )
        return read_chat_template(
            self.settings.config, self.settings.template, variables=self._variables(), specials=specials
        )

    def apply_chat_template(
        self,
        messages: Sequence[Message],
        *,
        tools: Sequence[Message] | None = None,
        add_generation_prompt: bool = True,
        variables: Mapping[str, Any] | None = None,
    ) -> list[int]:
        """Ids of a conversation, BOS included where the template writes it.

        Special tokens of the template become their ids; what looks like one in a message is encoded as text.
        Arguments and errors are those of `ChatTemplate.pieces`; also UsageError without a template.
        """
        if self.chat_template is None:
            raise UsageError("the tokenizer has no chat template, so its model knows no roles; give it plain text")
        pieces = self.chat_template.pieces(
            messages, tools=tools, add_generation_prompt=add_generation_prompt, variables=variables
        )
        ids: list[int] = []
        for number, piece in enumerate(pieces):
            if piece.special:
                ids.append(self.special_tokens[piece.text])
            else:
                ids += (self._inside if number else self).encode(piece.text)
        return ids

    @property
    def document(self) -> dict[str, Any]:
        """What tokenizer.json would hold."""
        content: dict[str, Any] = json.loads(self._inner.to_str())
        return content

    @cached_property
    def fingerprint(self) -> str:
        """32 hexadecimal digits that change with the vocabulary, the rules or the roles."""
        content = [cutting_rules(self._inner), [self.bos_id, self.eos_id, self.pad_id, self.unk_id]]
        return blake2b(json.dumps(content, sort_keys=True).encode(), digest_size=16).hexdigest()

    def encode(self, text: str) -> list[int]:
        """Ids of `text`, without begin and end; no text yields a special token other than the unknown one.

        Raises DataError where `text` has half of a surrogate pair.
        """
        return self.encode_batch([text])[0]

    def encode_batch(self, texts: Sequence[str]) -> list[list[int]]:
        """Ids of each text, as `encode` gives them; all cores work."""
        result: list[list[int]] = [[] for _ in texts]
        try:
            for batch in _batches(texts):
                for (owner, _), ids in zip(batch, self._ids([part for _, part in batch]), strict=True):
                    result[owner] += ids
        except TypeError:  # what the library says of text that is not valid Unicode
            for number, text in enumerate(texts):
                utf8_bytes(text, f"text {number}")
            raise
        return result

    def encode_spans(self, texts: Sequence[str]) -> list[Spanned]:
        """Ids of each text, as `encode` gives them, and which characters each is of; raises DataError as it does."""
        for number, text in enumerate(texts):
            utf8_bytes(text, f"text {number}")
        found: list[list[Spanned]] = [[] for _ in texts]
        lengths = [0] * len(texts)
        for batch in _batches(texts):
            for (owner, part), spanned in zip(batch, self._spanned([part for _, part in batch]), strict=True):
                found[owner].append(spanned.moved(lengths[owner]))
                lengths[owner] += len(part)
        return [joined(parts) for parts in found]

    def encode_pieces(self, pieces: Sequence[str]) -> list[Spanned]:
        """The pieces of one text, each encoded by itself, so that no token is of two; spans are within the piece."""
        return [*self.encode_spans(pieces[:1]), *self._inside.encode_spans(pieces[1:])]

    def encode_batch_inside(self, texts: Sequence[str]) -> list[list[int]]:
        """As `encode_batch`, of texts that stand inside of others, such as those between special tokens."""
        return self._inside.encode_batch(texts)

    def encode_flat(self, texts: Sequence[str]) -> tuple[Ids, Counts]:
        """Ids of all texts in a row, as `encode` gives them, and how many each has: for much text, on several threads.

        A text is one of the parts that `parts_of` gives. Raises DataError as `encode` does.
        """
        assert max(map(len, texts), default=0) <= _CHARACTERS_A_PART, "cut long texts by parts_of"
        pairs = self._byte_pairs if sum(map(len, texts)) >= _CHARACTERS_IN_BULK else None
        if pairs is None:
            lists = self.encode_batch(texts)
            counts = np.fromiter(map(len, lists), np.int64, len(lists))
            return np.fromiter(chain.from_iterable(lists), np.uint32, counts.sum()), counts
        try:
            found = [pairs.ranks(text) for text in texts]
        except UnicodeEncodeError:
            for number, text in enumerate(texts):
                utf8_bytes(text, f"text {number}")
            raise
        known = [ranks for ranks in found if ranks is not None]
        if len(known) < len(found):
            arrays = [
                np.array(self.encode(text), np.uint32) if ranks is None else pairs.ids(ranks)
                for text, ranks in zip(texts, found, strict=True)
            ]
            return np.concatenate(arrays), np.array([len(ids) for ids in arrays])
        counts = np.fromiter((memoryview(ranks).nbytes for ranks in known), np.int64, len(known)) // RANK_BYTES
        return pairs.ids(b"".join(known)), counts

    def encode_marked(self, text: str) -> list[int]:
        """Ids of `text` as `encode` gives them, in which each of the `marks` is one; raises DataError as it does."""
        present = sorted((mark for mark in self.marks if mark in text), key=lambda mark: (-len(mark), mark))
        if not present:
            return self.encode(text)
        added = {token.content: token for token in self._inner.get_added_tokens_decoder().values()}
        pieces = re.split(f"({'|'.join(map(re.escape, present))})", text)
        ids: list[int] = []
        for number, piece in enumerate(pieces):
            if number % 2:
                ids.append(self.special_tokens[piece])
                continue
            if number and (before := added.get(pieces[number - 1])) is not None and before.rstrip:
                piece = piece.lstrip()
            if number + 1 < len(pieces) and (after := added.get(pieces[number + 1])) is not None and after.lstrip:
                piece = piece.rstrip()
            ids += (self._inside if number else self).encode(piece) if piece else []
        return ids

    def decode(self, ids: Iterable[int], *, skip_special: bool = True) -> str:
        """Text of `ids`; raises DataError for an id that is not in the vocabulary."""
        return self._pieces.text(ids, skip_special=skip_special)

    def stream(self, *, skip_special: bool = True) -> TokenStream:
        """A decoder of ids that come one by one."""
        return TokenStream(self._pieces, skip_special)

    def spelling(self, token_id: int) -> bytes:
        """What the token adds to a text after others, in UTF-8, perhaps a part of a character."""
        return self._pieces.later(token_id)

    def first_spelling(self, token_id: int) -> bytes:
        """The same of the token that begins a text."""
        return self._pieces.opening(token_id)

    def token(self, token_id: int) -> str:
        """The token as the vocabulary writes it, for display; raises DataError as `decode` does."""
        return self._pieces.token(token_id)

    @cached_property
    def _inside(self) -> Tokenizer:
        """As this one, for text that does not begin a text, before which SentencePiece puts no space."""
        rules = self._inner.to_str()
        never = rules.replace('"prepend_scheme":"first"', '"prepend_scheme":"never"')
        return self if never == rules else Tokenizer(tokenizers.Tokenizer.from_str(never), self.roles, self.settings)

    @cached_property
    def _byte_pairs(self) -> BytePairs | None:
        return byte_pairs(self._inner, self._control)

    def _variables(self) -> dict[str, str]:
        """The special tokens by the names under which chat templates know them."""
        named = {name: content_of(value) for name, value in self.settings.config.items() if name.endswith("_token")}
        roles = {f"{role}_token": token for role, token in vars(self.roles).items()}
        return {name: token for name, token in {**roles, **named}.items() if token is not None}

    def _id(self, token: str | None) -> int | None:
        return None if token is None else self._inner.token_to_id(token)

    def _ids(self, texts: list[str]) -> list[list[int]]:
        encodings = self._inner.encode_batch_fast(texts, add_special_tokens=False)
        return [
            ids if self._control.isdisjoint(ids := encoding.ids) else self._as_text(text)
            for text, encoding in zip(texts, encodings, strict=True)
        ]

    def _spanned(self, texts: list[str]) -> list[Spanned]:
        encodings = self._inner.encode_batch(texts, add_special_tokens=False)
        found: list[Spanned] = []
        for text, encoding in zip(texts, encodings, strict=True):
            if self._control.isdisjoint(encoding.ids):
                found.append(Spanned(encoding.ids, [without_spaces(text, span) for span in encoding.offsets]))
                continue
            cuts = self._cuts(text)
            parts = self._spanned([text[start:end] for start, end in pairwise(cuts)])
            found.append(joined(part.moved(start) for start, part in zip(cuts[:-1], parts, strict=True)))
        return found

    def _as_text(self, text: str) -> list[int]:
        """Ids of a text in which the model itself finds special tokens (as Unigram may): cut inside each of them."""
        parts = [text[start:end] for start, end in pairwise(self._cuts(text))]
        return [token_id for ids in self._ids(parts) for token_id in ids]

    def _cuts(self, text: str) -> list[int]:
        """Where to cut a text so that the model finds no special tokens, with both ends."""
        encoding = self._inner.encode(text, add_special_tokens=False)
        cuts = [0]
        for token_id, (start, end) in zip(encoding.ids, encoding.offsets, strict=True):
            if token_id in self._control:
                if end - start < 2:
                    raise DataError(
                        f"this vocabulary has {text[start:end]!r} as a special token (id {token_id}) and in no other "
                        f"way, so text with it cannot be encoded: {text[max(0, start - 20) : end + 20]!r}"
                    )
                cuts.append(start + 1)
        return [*cuts, len(text)]


def utf8_bytes(text: str, name: str) -> int:
    """Bytes of `text` in UTF-8; raises DataError, calling it `name`, where half of a surrogate pair stands in it."""
    try:
        return len(text) if text.isascii() else len(text.encode())
    except UnicodeEncodeError as error:
        raise DataError(
            f"{name}: half of a surrogate pair (U+{ord(text[error.start]):04X}) at character {error.start}, so it is "
            "not valid Unicode; read its source as UTF-8, or repair it with data.steps = ['repair']"
        ) from error


def parts_of(text: str) -> Iterator[str]:
    """`text` in parts that fit into memory while they are encoded, cut before a space between words if there is one."""
    start = 0
    while len(text) - start > _CHARACTERS_A_PART:
        end = start + _CHARACTERS_A_PART
        found = [match.start() for match in _BETWEEN_WORDS.finditer(text, end - _CHARACTERS_SEARCHED, end)]
        end = found[-1] if found else end
        yield text[start:end]
        start = end
    yield text[start:]


def _batches(texts: Sequence[str]) -> Iterator[list[tuple[int, str]]]:
    """Parts of texts, with the number of their text, enough of them to keep the cores busy."""
    batch: list[tuple[int, str]] = []
    size = 0
    for owner, text in enumerate(texts):
        for part in parts_of(text):
            batch.append((owner, part))
            size += len(part)
            if size >= _CHARACTERS_A_BATCH:
                yield batch
                batch, size = [], 0
    if batch:
        yield batch
