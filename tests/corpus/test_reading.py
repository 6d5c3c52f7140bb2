"""Reading bytes: compressed, in any encoding, in bounded memory, with errors that tell where."""

from __future__ import annotations

import gzip
import io
import tracemalloc
from pathlib import Path

import pytest
import zstandard
from hypothesis import given
from hypothesis import strategies as st

from wenlu.corpus import reading
from wenlu.corpus.reading import decode, lines, open_bytes, open_text, open_text_bytes, read_text
from wenlu.errors import DataError

POEM = "床前明月光，疑是地上霜。\n举头望明月，低头思故乡。\n"


def read(path: Path) -> bytes:
    with open_bytes(path) as stream:
        return stream.read()


def test_gzip_and_zstandard_are_decompressed_by_suffix(tmp_path: Path) -> None:
    content = POEM.encode() * 1000
    (tmp_path / "a.txt.gz").write_bytes(gzip.compress(content))
    (tmp_path / "a.txt.zst").write_bytes(zstandard.compress(content))
    assert read(tmp_path / "a.txt.gz") == content
    assert read(tmp_path / "a.txt.zst") == content


def test_several_frames_are_read_as_one(tmp_path: Path) -> None:
    (tmp_path / "a.zst").write_bytes(zstandard.compress(b"one ") + zstandard.compress(b"two"))
    (tmp_path / "a.gz").write_bytes(gzip.compress(b"one ") + gzip.compress(b"two"))
    assert read(tmp_path / "a.zst") == read(tmp_path / "a.gz") == b"one two"


@pytest.mark.parametrize("suffix", ["gz", "zst"])
def test_a_cut_off_file_is_an_error_at_any_length(tmp_path: Path, suffix: str) -> None:
    content = POEM.encode() * 20
    whole = gzip.compress(content) if suffix == "gz" else zstandard.compress(content)
    path = tmp_path / f"cut.{suffix}"
    for length in range(1, len(whole)):
        path.write_bytes(whole[:length])
        with pytest.raises(DataError, match=rf"cut\.{suffix}: .*; download or copy it again"):
            read(path)


@pytest.mark.parametrize("suffix", ["gz", "zst"])
def test_a_file_that_only_claims_to_be_compressed_is_an_error(tmp_path: Path, suffix: str) -> None:
    path = tmp_path / f"plain.{suffix}"
    path.write_bytes(b"plain text")
    with pytest.raises(DataError, match=r"plain\.\w+: damaged (gzip|zstd) file"):
        read(path)


@pytest.mark.parametrize("suffix", ["gz", "zst"])
def test_a_decompression_bomb_is_refused(tmp_path: Path, suffix: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(reading, "FREE_EXPANSION", 1 << 20)
    content = bytes(40 << 20)
    path = tmp_path / f"bomb.{suffix}"
    path.write_bytes(gzip.compress(content) if suffix == "gz" else zstandard.compress(content))
    with pytest.raises(DataError, match=r"bomb\.\w+: decompresses to more than 500 times its size; refused as a decom"):
        read(path)


@pytest.mark.parametrize(
    "encoding", ["utf-8", "utf-8-sig", "gb18030", "big5", "utf-16", "utf-16-le", "utf-32", "shift_jis"]
)
def test_text_in_any_encoding_is_the_same_text(tmp_path: Path, encoding: str) -> None:
    text = "中文 and ASCII\n第二行\n"
    path = tmp_path / "a.txt"
    path.write_bytes(text.encode(encoding))
    assert read_text(path, encoding, 1 << 20) == text
    with open_text(path, encoding) as stream:
        assert stream.read() == text
    with open_text_bytes(path, encoding) as stream:
        assert len(list(lines(stream, 1 << 20))) == 2


def test_a_byte_order_mark_is_dropped(tmp_path: Path) -> None:
    (tmp_path / "a.txt").write_bytes(b"\xef\xbb\xbfone")
    assert read_text(tmp_path / "a.txt", "utf-8", 100) == "one"


def test_all_line_ends_become_newlines(tmp_path: Path) -> None:
    (tmp_path / "a.txt").write_bytes(b"one\r\ntwo\rthree\n")
    assert read_text(tmp_path / "a.txt", "utf-8", 100) == "one\ntwo\nthree\n"


def test_wrong_bytes_are_reported_with_line_byte_value_and_a_guess(tmp_path: Path) -> None:
    path = tmp_path / "poem.txt"
    path.write_bytes(b"line one\n" + POEM.encode("gb18030"))
    with pytest.raises(DataError) as caught:
        read_text(path, "utf-8", 1 << 20)
    assert str(caught.value) == (
        f'{path}, line 2, byte 9: 0xB4 is not utf-8; try encoding = "gb18030" for this source (a guess)'
    )


@pytest.mark.parametrize(
    ("data", "tried", "guess"),
    [
        ("café au lait, déjà vu\n".encode("latin-1"), "utf-8", "cp1252"),
        ("\ufeff中文文本".encode("utf-16"), "utf-8", "utf-16"),
        (("學而時習之，不亦說乎？" * 5).encode("big5"), "utf-8", "big5"),
        (("これは日本語の文です。" * 5).encode("shift_jis"), "utf-8", "shift_jis"),
        (("字" * 30 + "ð").encode("utf-8"), "ascii", "utf-8"),
    ],
)
def test_the_guess_fits_common_encodings(tmp_path: Path, data: bytes, tried: str, guess: str) -> None:
    path = tmp_path / "a.txt"
    path.write_bytes(data)
    with pytest.raises(DataError, match=f'try encoding = "{guess}"'):
        read_text(path, tried, 1 << 20)


def test_wrong_utf_16_is_reported_by_byte(tmp_path: Path) -> None:
    path = tmp_path / "a.txt"
    path.write_bytes("one\n".encode("utf-16-le") + b"\x00\xd8\x00\x00")
    with pytest.raises(DataError, match=r"a\.txt, byte 8: 0x00 0xD8 is not utf-16-le"):
        read_text(path, "utf-16-le", 1 << 20)


def test_a_nul_byte_is_no_text(tmp_path: Path) -> None:
    path = tmp_path / "a.txt"
    path.write_bytes(b"one\ntwo \0 three")
    with pytest.raises(
        DataError, match=r"a\.txt, line 2, byte 8: a NUL byte, so this is not text\. Leave the file out"
    ):
        read_text(path, "utf-8", 1 << 20)
    path.write_bytes("one two".encode("utf-16-le"))
    with pytest.raises(DataError, match=r'Is it UTF-16\? Then set encoding = "utf-16" for this source'):
        read_text(path, "utf-8", 1 << 20)


def test_a_file_over_the_cap_is_not_held(tmp_path: Path) -> None:
    (tmp_path / "a.txt").write_bytes(b"x" * 101)
    assert read_text(tmp_path / "a.txt", "utf-8", 100) is None
    assert read_text(tmp_path / "a.txt", "utf-8", 101) == "x" * 101


def test_a_line_of_200_megabytes_is_skipped_in_bounded_memory(tmp_path: Path) -> None:
    path = tmp_path / "long.txt"
    with path.open("wb") as file:
        file.write(b"before\n")
        for _ in range(200):
            file.write(b"x" * (1 << 20))
        file.write(b"\nafter\n")
    tracemalloc.start()
    with open_bytes(path) as stream:
        found = [(line.number, line.offset, line.data) for line in lines(stream, 1 << 20)]
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert found == [(1, 0, b"before\n"), (2, 7, None), (3, 8 + (200 << 20), b"after\n")]
    assert peak < 8 << 20


@given(st.lists(st.binary(max_size=12).map(lambda data: data.replace(b"\n", b"")), max_size=8), st.integers(1, 9))
def test_lines_are_whole_or_reported_too_large(parts: list[bytes], cap: int) -> None:
    data = b"\n".join(parts)
    found = list(lines(io.BytesIO(data), cap))
    expected = io.BytesIO(data).readlines()
    assert [line.number for line in found] == list(range(1, len(expected) + 1))
    assert [line.offset for line in found] == [sum(map(len, expected[:i])) for i in range(len(expected))]
    for line, whole in zip(found, expected, strict=True):
        assert line.data == (whole if len(whole.removesuffix(b"\n")) <= cap else None)


def test_decoding_counts_from_where_it_is(tmp_path: Path) -> None:
    with pytest.raises(DataError, match=r"f\.txt, line 8, byte 104: 0xFF is not utf-8"):
        decode(b"ab\nc\xff", "utf-8", path=Path("f.txt"), line=7, offset=100)


def test_a_folder_in_place_of_a_file_is_named(tmp_path: Path) -> None:
    with pytest.raises(DataError, match="a folder where a file is expected"):
        read(tmp_path)


def test_what_may_not_be_read_is_named(tmp_path: Path) -> None:
    path = tmp_path / "a.txt"
    path.touch()
    with pytest.raises(DataError, match=r"a\.txt: no permission to read it; try chmod u\+r"), reading.reading(path):
        raise PermissionError(13, "Permission denied")
    with pytest.raises(DataError, match=r"a\.txt: cannot be read \(Input/output error\)"), reading.reading(path):
        raise OSError(5, "Input/output error")
