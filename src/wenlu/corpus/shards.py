"""Encoded text on disk, read through the page cache.

A folder has `manifest.json` (sizes, hashes, counts), `tokens-NNNNN.bin` (each document as begin, ids, end; 16 or
32 bits a token, little-endian), and for each document its first token (`starts.bin`), UTF-8 bytes (`bytes.bin`) and
words (`words.bin`), 64 bits each, and its id (`ids.jsonl`, a JSON string a line). `crc.bin` has the CRC-32 of each 256
tokens of all, 32 bits each.

What is small is read and compared with its hash when a folder is opened; tokens are compared block by block whenever
they are read, so that a fault of the disk neither passes unseen nor costs a reading of everything.
"""

from __future__ import annotations

import json
import zlib
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from functools import cached_property
from hashlib import blake2b
from pathlib import Path
from typing import Any, BinaryIO, NamedTuple, Self

import numpy as np

from wenlu.corpus.damage import DamagedTokens
from wenlu.corpus.record import Record
from wenlu.errors import DataError, ResourceError
from wenlu.progress import QUIET, Progress
from wenlu.rundir.atomic import atomic_folder
from wenlu.tokenizers.tokenizer import Tokenizer, parts_of, utf8_bytes
from wenlu.tokenizers.words import count_words

MANIFEST = "manifest.json"
BLOCK_TOKENS = 256
"""Tokens that share a checksum: of the order of a row, so that a damaged one costs a row or two."""

_FORMAT = 2
_CHARACTERS_A_BATCH = 1 << 20
_READ_BYTES = 1 << 22
_COUNT, _CRC = np.dtype("<i8"), np.dtype("<u4")

Tokens = np.ndarray[Any, np.dtype[Any]]
Counts = np.ndarray[Any, np.dtype[np.int64]]


@dataclass(frozen=True)
class TokenData:
    """Encoded documents, mapped into memory.

    Attributes:
        num_tokens: all tokens on disk, a begin and an end for each document included.
        num_bytes, num_words: of the texts.
        document_starts: (num_documents + 1,) position of each document's begin token, then num_tokens.
        document_bytes, document_words: (num_documents,) UTF-8 bytes and words of each text.
        tokenizer_fingerprint: of the tokenizer that encoded the texts.
        fingerprint: 32 hexadecimal digits that change with any token, id or count.
    """

    folder: Path
    num_tokens: int
    num_documents: int
    num_bytes: int
    num_words: int
    vocab_size: int
    bos_id: int
    eos_id: int
    tokenizer_fingerprint: str
    fingerprint: str
    document_starts: Counts = field(repr=False)
    document_bytes: Counts = field(repr=False)
    document_words: Counts = field(repr=False)
    _crcs: Tokens = field(repr=False)
    _shards: tuple[Tokens, ...] = field(repr=False)
    _shard_starts: Counts = field(repr=False)

    @classmethod
    def open(cls, folder: Path) -> Self:
        """Map the files; raises DataError where one is missing, has not its size, or beside the tokens not its hash."""
        manifest = _manifest(folder)
        for file in manifest["files"]:
            _check_size(folder / file["name"], file["bytes"])
            if not file["name"].startswith("tokens-"):
                _check_hash(folder / file["name"], file["blake2b"])
        dtype = np.dtype(manifest["dtype"])
        names = [file["name"] for file in manifest["files"]]
        shards = tuple(_map(folder / name, dtype) for name in names if name.startswith("tokens-"))
        counts = {key: manifest[key] for key in ("num_tokens", "num_documents", "num_bytes", "num_words")}
        data = cls(
            folder=folder,
            **counts,
            vocab_size=manifest["vocab_size"],
            bos_id=manifest["bos_id"],
            eos_id=manifest["eos_id"],
            tokenizer_fingerprint=manifest["tokenizer_fingerprint"],
            fingerprint=manifest["fingerprint"],
            document_starts=_map(folder / "starts.bin", _COUNT),
            document_bytes=_map(folder / "bytes.bin", _COUNT),
            document_words=_map(folder / "words.bin", _COUNT),
            _crcs=_map(folder / "crc.bin", _CRC),
            _shards=shards,
            _shard_starts=np.cumsum([0, *(len(shard) for shard in shards)]),
        )
        found = (int(data._shard_starts[-1]), len(data.document_bytes), len(data.document_words), len(data._crcs))
        blocks = -(-data.num_tokens // BLOCK_TOKENS)
        if found != (data.num_tokens, data.num_documents, data.num_documents, blocks):
            raise DataError(f"{folder / MANIFEST}: its counts do not fit its files; encode the text again")
        return data

    def verify(self) -> None:
        """Read all files and compare their hashes; raises DataError that names the damaged one."""
        for file in _manifest(self.folder)["files"]:
            _check_hash(self.folder / file["name"], file["blake2b"])

    def tokens(self, start: int, stop: int) -> Tokens:
        """Tokens `start` … `stop` - 1 of all, in the type on disk; copied only where they lie in two shards.

        Raises DamagedTokens where a block that they lie in has another checksum than when it was written.
        """
        assert 0 <= start <= stop <= self.num_tokens, f"tokens {start} to {stop} of {self.num_tokens}"
        first, last = start // BLOCK_TOKENS, -(-stop // BLOCK_TOKENS)
        begin = first * BLOCK_TOKENS
        found = self._unchecked(begin, min(last * BLOCK_TOKENS, self.num_tokens))
        for number, crc in enumerate(self._crcs[first:last].tolist()):
            if zlib.crc32(found[number * BLOCK_TOKENS : (number + 1) * BLOCK_TOKENS].data) != crc:
                raise self._damaged(first + number)
        return found[start - begin : stop - begin]

    def _unchecked(self, start: int, stop: int) -> Tokens:
        shard = int(np.searchsorted(self._shard_starts, start, side="right")) - 1
        found: list[Tokens] = []
        while start < stop:
            first, last = self._shard_starts[shard : shard + 2].tolist()
            found.append(self._shards[shard][start - first : stop - first])
            start, shard = last, shard + 1
        if not found:
            return self._shards[0][:0] if self._shards else np.empty(0, np.uint16)
        return found[0] if len(found) == 1 else np.concatenate(found)

    def _damaged(self, block: int) -> DamagedTokens:
        start, stop = block * BLOCK_TOKENS, min((block + 1) * BLOCK_TOKENS, self.num_tokens)
        shard = int(np.searchsorted(self._shard_starts, start, side="right")) - 1
        documents = np.searchsorted(self.document_starts, [start, stop - 1], side="right") - 1
        first, last = (self.document_ids[number] for number in documents.tolist())
        return DamagedTokens(
            f"{self.folder / f'tokens-{shard:05}.bin'}: tokens {start:,} to {stop - 1:,} of all (of document {first!r}"
            f"{'' if first == last else f' to {last!r}'}) are not what was written: their checksum differs"
        )

    def document(self, index: int) -> Tokens:
        """Ids of one document, without its begin and end."""
        index = range(self.num_documents)[index]
        start, stop = self.document_starts[index : index + 2].tolist()
        return self.tokens(start + 1, stop - 1)

    @cached_property
    def document_ids(self) -> list[str]:
        """The id of each document's record."""
        with (self.folder / "ids.jsonl").open(encoding="utf-8") as lines:
            return [json.loads(line) for line in lines]


def write_tokens(
    documents: Iterable[str | Record],
    tokenizer: Tokenizer,
    out: Path,
    *,
    shard_tokens: int = 1 << 27,
    progress: Progress = QUIET,
) -> TokenData:
    """Encode texts into the folder `out`, which appears complete or not at all, and replaces an earlier one.

    Memory does not grow with the text. A plain text has its number as id.

    Raises:
        DataError: a text that is not Unicode; a tokenizer without an end-of-text token.
        ResourceError: the disk is full or refuses; `out` is a folder of something else.
    """
    assert shard_tokens > 0, f"shard_tokens = {shard_tokens}"
    if tokenizer.bos_id is None or tokenizer.eos_id is None:
        raise DataError(
            "the tokenizer has no end-of-text token, so documents cannot be told apart; "
            "name one as eos_token in its tokenizer_config.json"
        )
    if out.is_dir() and any(out.iterdir()) and not (out / MANIFEST).exists():
        raise ResourceError(f"{out}: holds other files, so encoded text is not written there; choose another folder")
    progress.start("encode", unit="bytes")
    with atomic_folder(out) as folder:
        writer = _Writer(folder, np.dtype("<u2" if tokenizer.vocab_size <= 1 << 16 else "<u4"), shard_tokens)
        with writer:
            for batch in _batches(documents):
                writer.add(batch, tokenizer.encode_batch([part.text for part in batch]), tokenizer)
                progress.update(writer.num_bytes)
        manifest = writer.manifest(tokenizer)
        (folder / MANIFEST).write_text(json.dumps(manifest, indent=2) + "\n", encoding="utf-8")
    data = TokenData.open(out)
    progress.finish(f"{data.num_documents} documents, {data.num_tokens} tokens, {data.num_bytes} bytes")
    return data


class _Part(NamedTuple):
    """A part of a document; what is known of the whole document stands with its first part."""

    text: str
    id: str | None
    bytes: int
    words: int
    last: bool


class _File:
    """A file that is hashed while it is written."""

    def __init__(self, path: Path) -> None:
        self.name = path.name
        self.bytes = 0
        self._hash = blake2b(digest_size=32)
        self._file: BinaryIO = path.open("wb")

    def write(self, data: bytes) -> None:
        self._file.write(data)
        self._hash.update(data)
        self.bytes += len(data)

    def close(self) -> None:
        self._file.close()

    def entry(self) -> dict[str, Any]:
        return {"name": self.name, "bytes": self.bytes, "blake2b": self._hash.hexdigest()}


class _Writer:
    """Appends encoded parts of documents to shards and to the columns beside them."""

    def __init__(self, folder: Path, dtype: np.dtype[Any], shard_tokens: int) -> None:
        self.num_tokens = self.num_documents = self.num_bytes = self.num_words = 0
        self._folder = folder
        self._dtype = dtype
        self._shard_tokens = shard_tokens
        self._columns = [_File(folder / name) for name in ("starts.bin", "bytes.bin", "words.bin", "ids.jsonl")]
        self._shards: list[_File] = []
        self._crcs = _File(folder / "crc.bin")
        self._crc = 0

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *error: object) -> None:
        starts = self._columns[0]
        if error == (None, None, None):
            starts.write(_column([self.num_tokens]))
            if self.num_tokens % BLOCK_TOKENS:
                self._end_block()
        for file in (*self._columns, self._crcs, *self._shards):
            file.close()

    def add(self, parts: list[_Part], encoded: list[list[int]], tokenizer: Tokenizer) -> None:
        flat: list[int] = []
        starts: list[int] = []
        begun = [part for part in parts if part.id is not None]
        for part, ids in zip(parts, encoded, strict=True):
            if part.id is not None:
                starts.append(self.num_tokens + len(flat))
                flat.append(_known(tokenizer.bos_id))
            flat += ids
            if part.last:
                flat.append(_known(tokenizer.eos_id))
        self._append(np.array(flat, self._dtype))
        columns = [_column(starts), _column([p.bytes for p in begun]), _column([p.words for p in begun])]
        names = "".join(json.dumps(part.id, ensure_ascii=False) + "\n" for part in begun).encode()
        for file, data in zip(self._columns, [*columns, names], strict=True):
            file.write(data)
        self.num_documents += len(begun)
        self.num_bytes += sum(part.bytes for part in begun)
        self.num_words += sum(part.words for part in begun)

    def manifest(self, tokenizer: Tokenizer) -> dict[str, Any]:
        files = [file.entry() for file in (*self._columns, self._crcs, *self._shards)]
        content = {
            "format": _FORMAT,
            "dtype": self._dtype.str,
            "num_tokens": self.num_tokens,
            "num_documents": self.num_documents,
            "num_bytes": self.num_bytes,
            "num_words": self.num_words,
            "vocab_size": tokenizer.vocab_size,
            "bos_id": tokenizer.bos_id,
            "eos_id": tokenizer.eos_id,
            "tokenizer_fingerprint": tokenizer.fingerprint,
            "files": files,
        }
        digest = blake2b(json.dumps(content, sort_keys=True).encode(), digest_size=16).hexdigest()
        return {"fingerprint": digest, **content}

    def _append(self, tokens: Tokens) -> None:
        while tokens.size:
            room = -self.num_tokens % self._shard_tokens
            if room == 0:
                if self._shards:
                    self._shards[-1].close()
                self._shards.append(_File(self._folder / f"tokens-{len(self._shards):05}.bin"))
                room = self._shard_tokens
            room = min(room, BLOCK_TOKENS - self.num_tokens % BLOCK_TOKENS)
            data = tokens[:room].tobytes()
            self._shards[-1].write(data)
            self._crc = zlib.crc32(data, self._crc)
            self.num_tokens += len(tokens[:room])
            if self.num_tokens % BLOCK_TOKENS == 0:
                self._end_block()
            tokens = tokens[room:]

    def _end_block(self) -> None:
        self._crcs.write(np.array([self._crc], _CRC).tobytes())
        self._crc = 0


def _batches(documents: Iterable[str | Record]) -> Iterator[list[_Part]]:
    batch: list[_Part] = []
    size = 0
    for number, document in enumerate(documents):
        record = Record(document, str(number)) if isinstance(document, str) else document
        length = utf8_bytes(record.text, record.id if record is document else f"text {number}")
        words = count_words(record.text)
        parts = list(parts_of(record.text))
        for order, text in enumerate(parts):
            first, last = order == 0, order == len(parts) - 1
            batch.append(_Part(text, record.id if first else None, length, words, last))
            size += len(text) + 1
            if size >= _CHARACTERS_A_BATCH:
                yield batch
                batch, size = [], 0
    if batch:
        yield batch


def _column(values: list[int]) -> bytes:
    return np.array(values, _COUNT).tobytes()


def _known(token_id: int | None) -> int:
    assert token_id is not None, "write_tokens refuses a tokenizer without it"
    return token_id


def _manifest(folder: Path) -> dict[str, Any]:
    path = folder / MANIFEST
    try:
        manifest: dict[str, Any] = json.loads(path.read_text(encoding="utf-8"))
    except FileNotFoundError as error:
        raise DataError(f"{path}: no such file; {folder} is not a folder of encoded text") from error
    except (UnicodeDecodeError, json.JSONDecodeError) as error:
        raise DataError(f"{path}: damaged ({error}); encode the text again") from error
    if not isinstance(manifest, dict) or manifest.get("format") != _FORMAT:
        found = manifest.get("format") if isinstance(manifest, dict) else manifest
        raise DataError(f"{path}: format {found!r}, but this version reads {_FORMAT}; encode the text again")
    unsigned = {key: value for key, value in manifest.items() if key != "fingerprint"}
    digest = blake2b(json.dumps(unsigned, sort_keys=True).encode(), digest_size=16).hexdigest()
    if manifest.get("fingerprint") != digest:
        raise DataError(f"{path}: damaged (its fingerprint does not fit its content); encode the text again")
    return manifest


def _check_size(path: Path, expected: int) -> None:
    try:
        found = path.stat().st_size
    except FileNotFoundError as error:
        raise DataError(f"{path}: missing, though {MANIFEST} names it; encode the text again") from error
    if found != expected:
        raise DataError(f"{path}: {found} bytes instead of {expected}; was it cut short? Encode the text again")


def _check_hash(path: Path, expected: str) -> None:
    if _hash(path) != expected:
        raise DataError(
            f"{path}: its content is not what was written (hash differs from {MANIFEST}); the disk or another program "
            f"changed it: remove the folder {path.parent} and encode the text again"
        )


def _map(path: Path, dtype: np.dtype[Any]) -> Tokens:
    # An empty file cannot be mapped.
    return np.memmap(path, dtype, mode="r") if path.stat().st_size else np.empty(0, dtype)


def _hash(path: Path) -> str:
    digest = blake2b(digest_size=32)
    with path.open("rb") as file:
        while block := file.read(_READ_BYTES):
            digest.update(block)
    return digest.hexdigest()
