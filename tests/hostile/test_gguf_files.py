"""A GGUF file that lies is refused with a WeightsError that says where, before memory is taken."""

from __future__ import annotations

import os
import re
import struct
import subprocess
import sys
import time
import tracemalloc
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from wenlu.errors import WeightsError
from wenlu.models import family
from wenlu.models.weights.gguf import load_gguf, read_header, write_gguf
from wenlu.tokenizers import TokenizerConfig, train_tokenizer
from wenlu.tokenizers.gguf import tokenizer_of

EXAMPLES = 20_000 if os.environ.get("WENLU_PROOF") == "1" else 150
U8, F32, ARRAY, STRING = 0, 6, 9, 8
HUGE = 2**63
LLAMA = family("llama")


def text(content: bytes | str, length: int | None = None) -> bytes:
    data = content.encode() if isinstance(content, str) else content
    return struct.pack("<Q", len(data) if length is None else length) + data


def key(name: bytes | str, kind: int, value: bytes) -> bytes:
    return text(name) + struct.pack("<I", kind) + value


def array(kind: int, count: int, items: bytes = b"") -> bytes:
    return struct.pack("<IQ", kind, count) + items


def tensor(name: str = "w", shape: tuple[int, ...] = (4,), kind: int = 0, offset: int = 0, dims: int = -1) -> bytes:
    count = len(shape) if dims < 0 else dims
    return text(name) + struct.pack(f"<I{len(shape)}QIQ", count, *shape, kind, offset)


def file(
    *parts: bytes, tensors: int = 0, keys: int = 0, data: int = 0, magic: bytes = b"GGUF", version: int = 3
) -> bytes:
    head = magic + struct.pack("<IQQ", version, tensors, keys) + b"".join(parts)
    return head + bytes(-len(head) % 32 + data)


def nested(depth: int) -> bytes:
    return array(ARRAY, 1, nested(depth - 1)) if depth else array(U8, 0)


LIES: dict[str, tuple[bytes, str]] = {
    "nothing": (b"", "an empty file, not GGUF"),
    "another magic": (file(magic=b"GGML"), "begins with b'GGML', not with b'GGUF', so it is not a GGUF file"),
    "a safetensors file": (struct.pack("<Q", 2) + b"{}", "not with b'GGUF'"),
    "only a magic": (b"GGUF", "the version needs 4 bytes where only 0 are left: the file ends (byte 4)"),
    "version 1": (file(version=1), "has version 1; versions 2 and 3 in little-endian are read"),
    "big-endian": (file(version=3 << 24), "is big-endian; versions 2 and 3 in little-endian are read"),
    "tensor count": (file(tensors=HUGE), "it claims 9,223,372,036,854,775,808 tensors, more than 65,536"),
    "key count": (file(keys=HUGE), "it claims 9,223,372,036,854,775,808 metadata keys, more than 65,536"),
    "more keys than there are": (file(keys=9), "the type of '' needs 4 bytes where only 0 are"),
    "key length": (file(text("k", HUGE), keys=1), "metadata key 0 claims 9,223,372,036,854,775,808 bytes, more than"),
    "value length": (file(key("k", STRING, text("v", HUGE)), keys=1), "'k' claims 9,223,372,036,854,775,808 bytes"),
    "value beyond the end": (file(key("k", STRING, text("v", 10**6)), keys=1), "'k' needs 1,000,000 bytes where only"),
    "count of numbers": (file(key("k", ARRAY, array(F32, 2**22)), keys=1), "'k' needs 16,777,216 bytes where only"),
    "count of items": (file(key("k", ARRAY, array(U8, HUGE)), keys=1), "'k' claims 9,223,372,036,854,775,808 items"),
    "count of texts": (file(key("k", ARRAY, array(STRING, 2**22)), keys=1), "'k' claims 4,194,304 items, more than"),
    "deep arrays": (file(key("k", ARRAY, nested(9)), keys=1), "'k' holds arrays more than 3 deep"),
    "type of a value": (file(key("k", 13, b""), keys=1), "'k' has type 13, and types end at 12"),
    "type of items": (file(key("k", ARRAY, array(99, 2)), keys=1), "'k' has type 99"),
    "key that is not UTF-8": (file(key(b"\xff", U8, b"\0"), keys=1), "metadata key 0 is not UTF-8 (invalid start byte"),
    "two keys of one name": (file(*[key("k", U8, b"\0")] * 2, keys=2), "metadata key 'k' stands there twice"),
    "alignment 0": (file(key("general.alignment", 4, bytes(4)), keys=1), "general.alignment is 0; a power of two"),
    "alignment 24": (file(key("general.alignment", 4, b"\x18\0\0\0"), keys=1), "general.alignment is 24; a power"),
    "alignment of text": (file(key("general.alignment", STRING, text("a")), keys=1), "general.alignment is 'a'; a"),
    "no dimensions": (file(tensor(shape=()), tensors=1), "'w' has 0 dimensions, not 1 to 4"),
    "many dimensions": (file(tensor(dims=2**32 - 1), tensors=1), "'w' has 4294967295 dimensions, not 1 to 4"),
    "a dimension of 0": (file(tensor(shape=(4, 0)), tensors=1), "'w' has shape [0, 4], which no tensor has"),
    "absurd dimensions": (file(tensor(shape=(2**62, 2**62)), tensors=1), "which no tensor has"),
    "a broken block": (file(tensor(shape=(48,), kind=2), tensors=1), "rows of 48, no multiple of the 32 of a Q4_0"),
    "tensor type": (file(tensor(kind=77), tensors=1), "'w' has tensor type 77; known: F32, F16, BF16"),
    "a removed type": (file(tensor(kind=4), tensors=1), "'w' has tensor type 4; known"),
    "name length": (file(text("w", 10**6), tensors=1), "the name of tensor 0 claims 1,000,000 bytes, more than 1,024"),
    "offset between": (file(tensor(offset=16), tensors=1, data=64), "'w' is at offset 16, no multiple of 32"),
    "offset far away": (
        file(tensor(offset=2**62), tensors=1, data=64),
        "but the file has 128: it is cut short, or lies",
    ),
    "no data": (file(tensor(), tensors=1), "'w' would end at byte 80, but the file has 64"),
    "overlap": (
        file(tensor("a", (16,)), tensor("b", (4,), offset=32), tensors=2, data=96),
        "tensors 'a' and 'b' overlap",
    ),
    "one tensor twice": (file(tensor(), tensor(offset=32), tensors=2, data=64), "tensor 'w' stands there twice"),
}


@pytest.mark.parametrize("lie", LIES)
def test_each_lie_is_named_at_once_and_in_little_memory(lie: str, tmp_path: Path) -> None:
    content, message = LIES[lie]
    path = tmp_path / "m.gguf"
    path.write_bytes(content)
    tracemalloc.start()
    try:
        started = time.perf_counter()
        with pytest.raises(WeightsError, match=re.escape(message)) as error:
            read_header(path)
        seconds = time.perf_counter() - started
        peak = tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()
    assert str(error.value).startswith(str(path))
    assert peak < 200_000
    assert seconds < 0.5


@pytest.fixture(scope="module")
def sound(tmp_path_factory: pytest.TempPathFactory) -> bytes:
    """A small file with all that a model needs."""
    tokenizer = train_tokenizer(TokenizerConfig(vocab_size=265, pattern="gpt2"), ["low lower lowest"] * 5)
    sizes = {"hidden_size": 32, "intermediate_size": 32, "num_hidden_layers": 1, "num_attention_heads": 2}
    model = LLAMA.build(LLAMA.config(vocab_size=265, **sizes))
    path = tmp_path_factory.mktemp("sound") / "m.gguf"
    write_gguf(path, model, LLAMA, tokenizer, type="q8_0", chat_template="{{ messages }}")
    return path.read_bytes()


mutations = st.lists(
    st.one_of(
        st.tuples(st.just("cut"), st.floats(0, 1), st.just(b"")),
        st.tuples(st.just("bytes"), st.floats(0, 1), st.binary(min_size=1, max_size=8)),
        st.tuples(
            st.just("bytes"),
            st.floats(0, 1),
            st.sampled_from([2**64 - 1, 2**63, 2**32 - 1, 2**31, 2**20, 0, 1]).map(lambda n: struct.pack("<Q", n)),
        ),
        st.tuples(st.just("drop"), st.floats(0, 1), st.binary(min_size=1, max_size=16)),
    ),
    min_size=1,
    max_size=3,
)


@settings(max_examples=EXAMPLES, derandomize=True)
@given(changes=mutations)
def test_a_damaged_file_loads_or_is_refused(
    sound: bytes, tmp_path_factory: pytest.TempPathFactory, changes: list[tuple[str, float, bytes]]
) -> None:
    data = bytearray(sound)
    header = sound.rindex(b"output_norm.weight") + 60  # where tensors begin, about
    for kind, share, new in changes:
        place = int(share * header)
        match kind:
            case "cut":
                del data[place:]
            case "drop":
                del data[place : place + len(new)]
            case _:
                data[place : place + len(new)] = new
    path = tmp_path_factory.getbasetemp() / "damaged.gguf"
    path.write_bytes(data)
    try:
        tokenizer = tokenizer_of(load_gguf(path)[2].metadata, where=str(path))
    except WeightsError:
        return
    tokenizer.decode(tokenizer.encode("low <|endoftext|>"))


def test_every_prefix_of_a_file_is_refused(sound: bytes, tmp_path: Path) -> None:
    path = tmp_path / "m.gguf"
    for end in range(0, len(sound) - 32, 211):
        path.write_bytes(sound[:end])
        with pytest.raises(WeightsError):
            read_header(path)


def test_claims_cost_no_memory_under_a_limit_of_the_system(tmp_path: Path) -> None:
    names = [name for name, (content, _) in LIES.items() if content]
    for number, name in enumerate(names):
        (tmp_path / f"{number}.gguf").write_bytes(LIES[name][0])
    program = """
import resource, sys
from pathlib import Path
from wenlu.errors import WeightsError
from wenlu.models.weights.gguf import read_header
used = int(Path("/proc/self/statm").read_text().split()[0]) * resource.getpagesize()
resource.setrlimit(resource.RLIMIT_AS, (used + 64 * 2**20,) * 2)
refused = 0
for path in sorted(Path(sys.argv[1]).glob("*.gguf")):
    try:
        read_header(path)
    except WeightsError:
        refused += 1
sys.exit(refused)
"""
    done = subprocess.run([sys.executable, "-c", program, str(tmp_path)], capture_output=True, check=False)
    assert done.returncode == len(names), done.stderr.decode()
