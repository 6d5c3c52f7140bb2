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
from dataclasses import dataclass, field
from functools import cached_property
from hashlib import blake2b
from pathlib import Path
from typing import Any, Self

import numpy as np

from wenlu.corpus.damage import DamagedTokens
from wenlu.errors import DataError

MANIFEST = "manifest.json"
BLOCK_TOKENS = 256
"""Tokens that share a checksum: of the order of a row, so that a damaged one costs a row or two."""

FORMAT = 2
_READ_BYTES = 1 << 22
COUNT, CRC = np.dtype("<i8"), np.dtype("<u4")

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
            document_starts=_map(folder / "starts.bin", COUNT),
            document_bytes=_map(folder / "bytes.bin", COUNT),
            document_words=_map(folder / "words.bin", COUNT),
            _crcs=_map(folder / "crc.bin", CRC),
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


def _manifest(folder: Path) -> dict[str, Any]:
    path = folder / MANIFEST
    try:
        manifest: dict[str, Any] = json.loads(path.read_text(encoding="utf-8"))
    except FileNotFoundError as error:
        raise DataError(f"{path}: no such file; {folder} is not a folder of encoded text") from error
    except (UnicodeDecodeError, json.JSONDecodeError) as error:
        raise DataError(f"{path}: damaged ({error}); encode the text again") from error
    if not isinstance(manifest, dict) or manifest.get("format") != FORMAT:
        found = manifest.get("format") if isinstance(manifest, dict) else manifest
        raise DataError(f"{path}: format {found!r}, but this version reads {FORMAT}; encode the text again")
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
