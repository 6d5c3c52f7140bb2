"""Encoded text on disk: all of it, or a clear error; and nothing left behind when the disk refuses."""

import json
import random
import resource
import shutil
import signal
import tracemalloc
from collections.abc import Iterator
from itertools import pairwise
from pathlib import Path

import numpy as np
import pytest
import tokenizers
from hypothesis import given, settings
from hypothesis import strategies as st

from wenlu.corpus import shard_writer
from wenlu.corpus.record import Record
from wenlu.corpus.shard_writer import write_tokens
from wenlu.corpus.shards import TokenData
from wenlu.errors import DataError, ResourceError
from wenlu.tokenizers import Tokenizer, TokenizerConfig, count_words, train_tokenizer
from wenlu.tokenizers import tokenizer as tokenizer_module
from wenlu.tokenizers.files import Roles

TEXTS = ["The miller kept three cats.", "", "三只猫 🐈‍⬛", "def f(x):\n    return x\n"]


@pytest.fixture(scope="module")
def tokenizer() -> Tokenizer:
    return train_tokenizer(TokenizerConfig(vocab_size=300), TEXTS * 4)


@pytest.fixture
def data(tokenizer: Tokenizer, tmp_path: Path) -> TokenData:
    return write_tokens(TEXTS, tokenizer, tmp_path / "tokens", shard_tokens=16)


@settings(max_examples=40, deadline=None)
@given(texts=st.lists(st.text(max_size=30), max_size=8), shard_tokens=st.integers(1, 64))
def test_what_is_read_is_what_was_written(
    tokenizer: Tokenizer, tmp_path_factory: pytest.TempPathFactory, texts: list[str], shard_tokens: int
) -> None:
    folder = tmp_path_factory.mktemp("law") / "tokens"
    data = write_tokens(texts, tokenizer, folder, shard_tokens=shard_tokens)
    assert [data.document(i).tolist() for i in range(len(texts))] == tokenizer.encode_batch(texts)
    assert [tokenizer.decode(data.document(i).tolist()) for i in range(len(texts))] == texts
    assert data.num_documents == len(texts)
    assert data.num_tokens == sum(map(len, tokenizer.encode_batch(texts))) + 2 * len(texts)
    assert data.document_bytes.tolist() == [len(text.encode()) for text in texts]
    assert data.document_words.tolist() == [count_words(text) for text in texts]
    assert (data.num_bytes, data.num_words) == (data.document_bytes.sum(), data.document_words.sum())
    assert data.document_ids == [str(i) for i in range(len(texts))]
    for start, stop in ((0, data.num_tokens), (data.num_tokens // 3, 2 * data.num_tokens // 3)):
        whole = [i for ids in tokenizer.encode_batch(texts) for i in (0, *ids, 0)]
        assert data.tokens(start, stop).tolist() == whole[start:stop]
    data.verify()


@settings(max_examples=20, deadline=None)
@given(texts=st.lists(st.text(max_size=30), max_size=8))
def test_the_folder_is_the_same_by_either_engine(
    tokenizer: Tokenizer, tmp_path_factory: pytest.TempPathFactory, texts: list[str]
) -> None:
    folder = tmp_path_factory.mktemp("engines")
    assert tokenizer._byte_pairs is not None
    written = [write_tokens([*texts, "cats " * 20_000], tokenizer, folder / "bulk", shard_tokens=1000)]
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(tokenizer_module, "_CHARACTERS_IN_BULK", 1 << 30)
        written.append(write_tokens([*texts, "cats " * 20_000], tokenizer, folder / "lists", shard_tokens=1000))
    assert written[0].fingerprint == written[1].fingerprint


def test_documents_begin_and_end_and_shards_have_the_size_asked_for(data: TokenData) -> None:
    files = json.loads((data.folder / "manifest.json").read_text())["files"]
    sizes = [file["bytes"] for file in files if file["name"].startswith("tokens-")]
    assert sizes[:-1] == [32] * (len(sizes) - 1)
    assert 0 < sizes[-1] <= 32
    starts = data.document_starts.tolist()
    assert starts[0] == 0
    assert starts[-1] == data.num_tokens
    for start, stop in pairwise(starts):
        assert data.tokens(start, stop)[[0, -1]].tolist() == [data.bos_id, data.eos_id]


def test_records_keep_their_ids(tokenizer: Tokenizer, tmp_path: Path) -> None:
    records = [Record("a", "notes/a.jsonl:1"), Record("b", 'notes/"b"\n猫')]
    assert write_tokens(records, tokenizer, tmp_path / "tokens").document_ids == [record.id for record in records]


def test_tokens_are_stored_in_16_bits_where_they_fit(tokenizer: Tokenizer, data: TokenData, tmp_path: Path) -> None:
    assert data.document(0).dtype == np.uint16
    wide = tokenizers.Tokenizer.from_str(tokenizer._inner.to_str())
    wide.add_tokens([f"token-{i}" for i in range(65_536 - 300)])
    widest = Tokenizer(wide, tokenizer.roles)
    assert write_tokens(["token-65235"], widest, tmp_path / "16").document(0).tolist() == [65_535]
    wide.add_tokens(["one-more"])
    data = write_tokens(["one-more"], Tokenizer(wide, tokenizer.roles), tmp_path / "32")
    assert data.document(0).dtype == np.uint32
    assert data.document(0).tolist() == [65_536]


def test_the_fingerprint_is_of_the_content(tokenizer: Tokenizer, data: TokenData, tmp_path: Path) -> None:
    again = write_tokens(TEXTS, tokenizer, tmp_path / "again", shard_tokens=16)
    assert again.fingerprint == data.fingerprint
    assert again.tokenizer_fingerprint == tokenizer.fingerprint
    other = write_tokens([*TEXTS[:-1], "def g(x):\n    return x\n"], tokenizer, tmp_path / "other", shard_tokens=16)
    assert other.fingerprint != data.fingerprint


def test_an_earlier_folder_is_replaced_and_a_strangers_folder_is_not(tokenizer: Tokenizer, data: TokenData) -> None:
    replaced = write_tokens(["new"], tokenizer, data.folder)
    assert replaced.num_documents == 1
    assert [path.name for path in data.folder.parent.iterdir()] == ["tokens"]
    (data.folder / "manifest.json").unlink()
    with pytest.raises(ResourceError, match="holds other files, so encoded text is not written there"):
        write_tokens(["new"], tokenizer, data.folder)
    assert (data.folder / "tokens-00000.bin").exists()


@pytest.mark.parametrize(
    "name", ["tokens-00000.bin", "tokens-00001.bin", "starts.bin", "bytes.bin", "words.bin", "ids.jsonl"]
)
def test_a_short_missing_or_changed_file_is_named(data: TokenData, name: str) -> None:
    path = data.folder / name
    whole = path.read_bytes()
    path.write_bytes(bytes([whole[0] ^ 1]) + whole[1:])
    with pytest.raises(DataError, match=f"{name}: its content is not what was written"):
        TokenData.open(data.folder).verify()
    path.write_bytes(whole[:-1])
    with pytest.raises(DataError, match=rf"{name}: {len(whole) - 1} bytes instead of {len(whole)}; was it cut short"):
        TokenData.open(data.folder)
    path.unlink()
    with pytest.raises(DataError, match=f"{name}: missing, though manifest.json names it; encode the text again"):
        TokenData.open(data.folder)


def test_every_flipped_bit_is_found(data: TokenData) -> None:
    draw = random.Random(0)
    files = sorted(path for path in data.folder.iterdir())
    for _ in range(200):
        path = draw.choice(files)
        whole = path.read_bytes()
        damaged = bytearray(whole)
        damaged[draw.randrange(len(damaged))] ^= 1 << draw.randrange(8)
        path.write_bytes(damaged)
        if json.loads(whole) != json.loads(damaged) if path.name == "manifest.json" and _is_json(damaged) else True:
            with pytest.raises(DataError):
                TokenData.open(data.folder).verify()
        path.write_bytes(whole)
    TokenData.open(data.folder).verify()


def _is_json(content: bytes) -> bool:
    try:
        json.loads(content)
    except ValueError:
        return False
    return True


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (None, "no such file; .* is not a folder of encoded text"),
        ("{", "damaged"),
        ("[]", r"format \[\], but this version reads 2"),
        ('{"format": 7}', "format 7, but this version reads 2"),
        ('{"format": 2}', "its fingerprint does not fit its content"),
    ],
)
def test_a_damaged_manifest_is_refused(data: TokenData, content: str | None, message: str) -> None:
    path = data.folder / "manifest.json"
    path.unlink()
    if content is not None:
        path.write_text(content)
    with pytest.raises(DataError, match=message):
        TokenData.open(data.folder)


@pytest.fixture
def small_files_only() -> Iterator[None]:
    """The system refuses to let any file grow beyond 20,000 bytes, as a full disk refuses."""
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    handler = signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
    resource.setrlimit(resource.RLIMIT_FSIZE, (20_000, hard))
    yield
    resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))
    signal.signal(signal.SIGXFSZ, handler)


def test_a_disk_that_refuses_leaves_nothing_behind(
    tokenizer: Tokenizer, data: TokenData, small_files_only: None
) -> None:
    many = ("The miller kept three cats. " * 100 for _ in range(200))
    with pytest.raises(ResourceError, match="tokens: could not be written: File too large"):
        write_tokens(many, tokenizer, data.folder)
    assert [path.name for path in data.folder.parent.iterdir()] == ["tokens"]
    TokenData.open(data.folder).verify()


def test_no_text_is_half_written_when_the_source_fails(tokenizer: Tokenizer, tmp_path: Path) -> None:
    def failing() -> Iterator[str]:
        yield "fine"
        raise DataError("the source is damaged")

    with pytest.raises(DataError, match="the source is damaged"):
        write_tokens(failing(), tokenizer, tmp_path / "tokens")
    assert list(tmp_path.iterdir()) == []


def test_half_a_surrogate_pair_is_refused_with_the_record(tokenizer: Tokenizer, tmp_path: Path) -> None:
    with pytest.raises(DataError, match=r"notes:3: half of a surrogate pair \(U\+DC00\) at character 1"):
        write_tokens([Record("a\udc00", "notes:3")], tokenizer, tmp_path / "tokens")
    assert list(tmp_path.iterdir()) == []


def test_a_tokenizer_without_an_end_is_refused(tokenizer: Tokenizer, tmp_path: Path) -> None:
    with pytest.raises(DataError, match="has no end-of-text token, so documents cannot be told apart"):
        write_tokens(["a"], Tokenizer(tokenizer._inner, Roles()), tmp_path / "tokens")


def test_a_folder_can_be_moved(data: TokenData, tmp_path: Path) -> None:
    shutil.move(data.folder, tmp_path / "moved")
    assert TokenData.open(tmp_path / "moved").fingerprint == data.fingerprint


def test_memory_stays_flat_as_the_text_grows(
    tokenizer: Tokenizer, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(shard_writer, "_CHARACTERS_A_BATCH", 1 << 16)

    def peak(documents: int) -> int:
        texts = (f"The miller kept {i} cats. " * 40 for i in range(documents))
        tracemalloc.start()
        write_tokens(texts, tokenizer, tmp_path / str(documents))
        _, highest = tracemalloc.get_traced_memory()
        tracemalloc.stop()
        return highest

    peak(10)
    assert peak(2000) < 1.3 * peak(500)


def test_a_long_document_is_encoded_in_parts(tokenizer: Tokenizer, tmp_path: Path) -> None:
    text = "The miller kept three cats. " * 30_000
    data = write_tokens(["a", text, "b"], tokenizer, tmp_path / "tokens")
    assert data.document(1).tolist() == tokenizer.encode(text)
    assert data.document_words.tolist() == [1, 150_000, 1]
    assert tokenizer.decode(data.document(2).tolist()) == "b"
