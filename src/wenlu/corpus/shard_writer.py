"""Writes encoded text in the format that `shards.py` reads."""

from __future__ import annotations

import json
import zlib
from collections import deque
from collections.abc import Iterable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from hashlib import blake2b
from pathlib import Path
from typing import Any, BinaryIO, NamedTuple, Self

import numpy as np

from wenlu.corpus.parallel import available_workers
from wenlu.corpus.record import Record
from wenlu.corpus.shards import BLOCK_TOKENS, COUNT, CRC, FORMAT, MANIFEST, Counts, TokenData, Tokens
from wenlu.errors import DataError, ResourceError
from wenlu.progress import QUIET, Progress
from wenlu.rundir.atomic import atomic_folder
from wenlu.tokenizers.byte_pairs import Ids
from wenlu.tokenizers.tokenizer import Tokenizer, parts_of, utf8_bytes
from wenlu.tokenizers.words import count_words

_CHARACTERS_A_BATCH = 1 << 18
_as_json = json.JSONEncoder(ensure_ascii=False).encode


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
            for batch, (ids, counts) in _encoded(_batches(documents), tokenizer):
                writer.add(batch, ids, counts, tokenizer)
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

    def add(self, parts: list[_Part], ids: Ids, counts: Counts, tokenizer: Tokenizer) -> None:
        """Append `parts`, whose `ids` stand in a row, `counts` of them to each."""
        begins = np.array([part.id is not None for part in parts])
        ends = np.array([part.last for part in parts])
        stops = np.cumsum(begins + counts + ends)
        first, last = (stops - ends - counts - begins)[begins], (stops - 1)[ends]
        tokens = np.empty(stops[-1], self._dtype)
        within = np.ones(len(tokens), bool)
        within[first] = within[last] = False
        tokens[first], tokens[last], tokens[within] = _known(tokenizer.bos_id), _known(tokenizer.eos_id), ids
        starts = (self.num_tokens + first).tolist()
        begun = [part for part in parts if part.id is not None]
        self._append(tokens)
        columns = [_column(starts), _column([p.bytes for p in begun]), _column([p.words for p in begun])]
        names = "".join(_as_json(part.id) + "\n" for part in begun).encode()
        for file, data in zip(self._columns, [*columns, names], strict=True):
            file.write(data)
        self.num_documents += len(begun)
        self.num_bytes += sum(part.bytes for part in begun)
        self.num_words += sum(part.words for part in begun)

    def manifest(self, tokenizer: Tokenizer) -> dict[str, Any]:
        files = [file.entry() for file in (*self._columns, self._crcs, *self._shards)]
        content = {
            "format": FORMAT,
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
        self._crcs.write(np.array([self._crc], CRC).tobytes())
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


def _encoded(batches: Iterable[list[_Part]], tokenizer: Tokenizer) -> Iterator[tuple[list[_Part], tuple[Ids, Counts]]]:
    """Batches with the ids of their parts, in order; some are encoded on threads while others are written."""
    workers = available_workers()
    ahead: deque[tuple[list[_Part], Future[tuple[Ids, Counts]]]] = deque()
    with ThreadPoolExecutor(workers) as pool:
        for number, batch in enumerate(batches):
            ahead.append((batch, pool.submit(tokenizer.encode_flat, [part.text for part in batch])))
            if number == 0:
                ahead[0][1].result()  # what is prepared once is prepared before others need it
            if len(ahead) > workers:
                parts, encoded = ahead.popleft()
                yield parts, encoded.result()
        for parts, encoded in ahead:
            yield parts, encoded.result()


def _column(values: list[int]) -> bytes:
    return np.array(values, COUNT).tobytes()


def _known(token_id: int | None) -> int:
    assert token_id is not None, "write_tokens refuses a tokenizer without it"
    return token_id
