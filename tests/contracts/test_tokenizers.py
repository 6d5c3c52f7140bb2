"""What every kind of vocabulary owes: a file and a row, the same result each time, files that others read, and text
that never becomes a special token."""

import os
import subprocess
import sys
from operator import attrgetter
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import wenlu.tokenizers.kinds
from wenlu.errors import DataError
from wenlu.tokenizers import KINDS, Kind, Tokenizer, TokenizerConfig, train_tokenizer

TEXTS = [
    "The miller kept three cats, and the cats kept the mill free of mice.\nThe wheel of the mill turned.\n",
    "磨坊主养了三只猫，三只猫让磨坊里没有老鼠。水轮日夜转动，猫也生了小猫。",
    "def turn(wheel):\n    for hour in range(12):\n        wheel.turn(hour)\n    return wheel\n",
    "naïve café ☕ 🐈‍⬛ 👨‍👩‍👧  two  spaces\t\ttabs\r\n",
] * 4
SIZES = {"bpe": 330, "unigram": 420, "wordpiece": 150, "char": "auto", "word": "auto"}
TRAINED = {
    kind.name: train_tokenizer(
        TokenizerConfig.model_validate({"kind": kind.name, "vocab_size": SIZES[kind.name]}), TEXTS
    )
    for kind in KINDS
}

each_kind = pytest.mark.parametrize("kind", KINDS, ids=attrgetter("name"))
each_exact_kind = pytest.mark.parametrize("kind", [k for k in KINDS if k.exact], ids=attrgetter("name"))

SPECIAL_TEXT = st.lists(
    st.one_of(
        st.text(max_size=8),
        st.sampled_from(
            ["<|endoftext|>", "<|pad|>", "<|unk|>", "<|", "|>", "endoftext", "<0x41>", "##", " ", "猫", "\n"]
        ),
    ),
    max_size=6,
).map("".join)


def test_the_tuple_lists_the_folder() -> None:
    folder = Path(wenlu.tokenizers.kinds.__file__).parent
    files = {path.stem for path in folder.glob("*.py")} - {"__init__", "kind"}
    assert {kind.name for kind in KINDS} == files
    assert len(KINDS) == len(files)


@each_kind
def test_a_saved_tokenizer_is_the_same_when_loaded(kind: Kind, tmp_path: Path) -> None:
    tokenizer = TRAINED[kind.name]
    tokenizer.save(tmp_path)
    loaded = Tokenizer.load(tmp_path)
    assert loaded.encode_batch(TEXTS) == tokenizer.encode_batch(TEXTS)
    assert loaded.fingerprint == tokenizer.fingerprint
    assert (loaded.bos_id, loaded.eos_id, loaded.pad_id, loaded.unk_id) == (
        tokenizer.bos_id,
        tokenizer.eos_id,
        tokenizer.pad_id,
        tokenizer.unk_id,
    )


@each_kind
def test_transformers_reads_what_was_saved(kind: Kind, tmp_path: Path) -> None:
    from transformers import AutoTokenizer

    tokenizer = TRAINED[kind.name]
    tokenizer.save(tmp_path)
    theirs = AutoTokenizer.from_pretrained(tmp_path, local_files_only=True)
    for text in TEXTS[:4]:
        ids = tokenizer.encode(text)
        assert theirs.encode(text, add_special_tokens=False) == ids
        assert theirs.decode(ids, skip_special_tokens=True) == tokenizer.decode(ids)
    roles = (theirs.bos_token_id, theirs.eos_token_id, theirs.pad_token_id)
    assert roles == (tokenizer.bos_id, tokenizer.eos_id, tokenizer.pad_id)
    assert len(theirs) == tokenizer.vocab_size


def test_two_processes_learn_the_same_vocabularies() -> None:
    code = (
        "from wenlu.tokenizers import KINDS, TokenizerConfig, train_tokenizer\n"
        f"for kind in KINDS:\n    config = TokenizerConfig(kind=kind.name, vocab_size={SIZES!r}[kind.name])\n"
        f"    print(train_tokenizer(config, {TEXTS!r}).fingerprint)\n"
    )
    run = subprocess.run(
        [sys.executable, "-c", code],
        env={**os.environ, "PYTHONHASHSEED": "7"},
        capture_output=True,
        text=True,
        check=True,
    )
    assert run.stdout.split() == [TRAINED[kind.name].fingerprint for kind in KINDS]


@each_kind
def test_special_tokens_come_first(kind: Kind) -> None:
    tokenizer = TRAINED[kind.name]
    assert list(tokenizer.special_tokens.values()) == list(range(len(tokenizer.special_tokens)))
    assert tokenizer.bos_id == tokenizer.eos_id == 0
    assert tokenizer.token(0) == "<|endoftext|>"
    assert tokenizer.pad_id == 1


@each_kind
def test_vocab_size_is_what_was_asked_for(kind: Kind) -> None:
    tokenizer = TRAINED[kind.name]
    if SIZES[kind.name] != "auto":
        assert tokenizer.vocab_size == SIZES[kind.name]
    assert max(max(ids) for ids in tokenizer.encode_batch(TEXTS)) < tokenizer.vocab_size


@each_kind
@settings(deadline=None)
@given(text=SPECIAL_TEXT)
def test_text_never_becomes_a_special_token(kind: Kind, text: str) -> None:
    tokenizer = TRAINED[kind.name]
    special = set(tokenizer.special_tokens.values()) - {tokenizer.unk_id}
    assert special.isdisjoint(tokenizer.encode(text))


@each_exact_kind
@settings(deadline=None)
@given(text=st.one_of(SPECIAL_TEXT, st.text()))
def test_an_exact_kind_gives_back_any_text(kind: Kind, text: str) -> None:
    tokenizer = TRAINED[kind.name]
    assert tokenizer.decode(tokenizer.encode(text)) == text
    assert tokenizer.unk_id is None


@each_kind
def test_what_the_vocabulary_lacks_is_unknown_or_spelt_in_bytes(kind: Kind) -> None:
    tokenizer = TRAINED[kind.name]
    ids = tokenizer.encode("龘")
    assert tokenizer.decode(ids, skip_special=False) == ("龘" if kind.exact else "<|unk|>")
    assert len(ids) == (3 if kind.exact else 1)


@each_kind
@settings(deadline=None)
@given(text=SPECIAL_TEXT)
def test_a_stream_says_what_decode_says(kind: Kind, text: str) -> None:
    tokenizer = TRAINED[kind.name]
    ids = [0, *tokenizer.encode(text), 0]
    stream = tokenizer.stream()
    assert "".join(map(stream.push, ids)) + stream.flush() == tokenizer.decode(ids)


@each_kind
def test_batches_equal_single_texts(kind: Kind) -> None:
    tokenizer = TRAINED[kind.name]
    assert tokenizer.encode_batch(["", *TEXTS]) == [[], *map(tokenizer.encode, TEXTS)]


@each_kind
def test_a_vocabulary_that_the_text_does_not_support_is_refused(kind: Kind) -> None:
    config = TokenizerConfig.model_validate({"kind": kind.name, "vocab_size": 4096})
    with pytest.raises(
        DataError, match=rf"vocab_size = 4096 is more than the text supports: {kind.name} reached (\d+)"
    ) as e:
        train_tokenizer(config, TEXTS)
    assert "a min_frequency below 2, or more text" in str(e.value)
    reached = int(str(e.value).split("reached ")[1].split(";")[0])
    fitting = TokenizerConfig.model_validate({"kind": kind.name, "vocab_size": reached})
    assert train_tokenizer(fitting, TEXTS).vocab_size == reached


@each_kind
def test_no_text_is_refused(kind: Kind) -> None:
    config = TokenizerConfig.model_validate({"kind": kind.name, "vocab_size": 500})
    with pytest.raises(DataError, match=r"no text to learn a tokenizer from: 2 texts, all empty; check data\.train"):
        train_tokenizer(config, ["", ""])


@each_kind
def test_half_a_surrogate_pair_is_refused(kind: Kind) -> None:
    message = r"text 1: half of a surrogate pair \(U\+D83D\) at character 2"
    with pytest.raises(DataError, match=message):
        TRAINED[kind.name].encode_batch(["fine", "ab\ud83d"])
    config = TokenizerConfig.model_validate({"kind": kind.name, "vocab_size": 500})
    with pytest.raises(DataError, match=message):
        train_tokenizer(config, ["fine", "ab\ud83d"])


@each_kind
def test_extra_special_tokens_and_lower_case_are_obeyed(kind: Kind) -> None:
    settings = {"kind": kind.name, "vocab_size": SIZES[kind.name], "lowercase": True}
    config = TokenizerConfig.model_validate({**settings, "extra_special_tokens": ["<|user|>"], "eos_token": "<|end|>"})
    tokenizer = train_tokenizer(config, TEXTS)
    assert tokenizer.encode("The CATS") == tokenizer.encode("the cats")
    assert tokenizer.special_tokens["<|user|>"] not in tokenizer.encode("<|user|>")
    assert tokenizer.special_tokens["<|end|>"] == tokenizer.eos_id == 0
    assert tokenizer.special_tokens["<|endoftext|>"] == tokenizer.bos_id == 1


@each_kind
def test_a_special_token_that_is_a_word_of_the_text_is_still_not_reached_by_it(kind: Kind) -> None:
    settings = {"kind": kind.name, "vocab_size": SIZES[kind.name], "pad_token": "wheel"}
    tokenizer = train_tokenizer(TokenizerConfig.model_validate(settings), TEXTS)
    assert tokenizer.token(1) == "wheel"
    for text in ("wheel", "a wheel wheels wheel.", "wheelwheel"):
        assert 1 not in tokenizer.encode(text)
        if kind.exact:
            assert tokenizer.decode(tokenizer.encode(text)) == text
